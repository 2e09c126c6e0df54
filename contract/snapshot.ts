import { z } from 'zod';
import { Digest } from './ids.ts';
import { isPathText, isProperText } from './path-bytes.ts';

export { treeForm } from './tree-form.ts';

/**
 * What a workspace holds, said in one way by client and daemon.
 *
 * ## Digest of a tree
 * sha256 of: `orchestra-tree 1` NUL, then for each entry in the byte order of its path: kind NUL
 * path NUL value NUL, where kind and value are `d` and nothing for a directory, `f` or `x` and the
 * digest for a plain or executable file, `l` and the target for a link. A layer's digest starts
 * with `orchestra-layer 1` and has two more kinds: `D` for a directory that hides what was below
 * it, `w` for a deletion. No times, no owners; of the mode only the executable bit.
 *
 * ## Upload
 * `POST /v1/snapshots` takes one stream of frames. A frame is one line of JSON (`UploadHeader`,
 * ended by LF, at most 16 KiB) and, where `content` is true, exactly `bytes` raw bytes. A directory
 * comes before what is in it. A file without `content` must carry a digest that the daemon holds.
 * The last frame is `{"type":"end",…}`; without it the upload was cut off and nothing is kept.
 */
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** A relative path beneath the workspace in its text form (`path-bytes.ts`). */
export const PathText = z
  .string()
  .min(1)
  .max(8192)
  .refine(isPathText, 'not a path beneath the workspace');
/** The words of a link, in the same text form. */
export const LinkText = z.string().min(1).max(8192).refine(isProperText, 'not a link target');

const dir = z.strictObject({ type: z.literal('dir'), path: PathText });
const file = z.strictObject({
  type: z.literal('file'),
  path: PathText,
  executable: z.boolean(),
  bytes: count,
  digest: Digest,
});
const symlink = z.strictObject({ type: z.literal('symlink'), path: PathText, target: LinkText });

export const TreeEntry = z.discriminatedUnion('type', [dir, file, symlink]);
export type TreeEntry = z.infer<typeof TreeEntry>;
export type FileEntry = z.infer<typeof file>;

export const LayerEntry = z.discriminatedUnion('type', [
  dir.extend({ opaque: z.literal(true).optional() }),
  file,
  symlink,
  z.strictObject({ type: z.literal('whiteout'), path: PathText }),
]);
export type LayerEntry = z.infer<typeof LayerEntry>;

export const UploadHeader = z.discriminatedUnion('type', [
  dir,
  symlink,
  file.extend({ digest: Digest.optional(), content: z.boolean() }),
  z.strictObject({ type: z.literal('end'), entries: count }),
]);
export type UploadHeader = z.infer<typeof UploadHeader>;

/**
 * Something that was not taken along, and why. With `attribute` and `set-id` the file was, without
 * what made it special. The CLI prints these.
 */
export const LeftOut = z.strictObject({
  path: z.string().max(8192),
  reason: z.enum([
    'socket',
    'fifo',
    'device',
    'link',
    'link leads out',
    'name',
    'attribute',
    'set-id',
  ]),
});
export type LeftOut = z.infer<typeof LeftOut>;

/** `POST /v1/snapshots/missing`: which of these does the daemon lack? */
export const MissingRequest = z.strictObject({ digests: z.array(Digest).max(1_000_000) });
export const MissingAnswer = z.strictObject({ missing: z.array(Digest) });

/** `GET /v1/snapshots/<digest>` and the first half of the answer to an upload. */
export const SnapshotInfo = z.strictObject({ digest: Digest, files: count, bytes: count });
export type SnapshotInfo = z.infer<typeof SnapshotInfo>;

export const SnapshotAnswer = SnapshotInfo.extend({
  /** Of the files that came without a digest, in the order in which they came. */
  digests: z.array(Digest),
  leftOut: z.array(LeftOut),
});
export type SnapshotAnswer = z.infer<typeof SnapshotAnswer>;

export type TreeLimits = {
  entriesMax: number;
  bytesMax: number;
  pathBytesMax: number;
  depthMax: number;
};
export const defaultTreeLimits: TreeLimits = {
  entriesMax: 500_000,
  bytesMax: 16 * 1024 ** 3,
  pathBytesMax: 2048,
  depthMax: 128,
};

export type Change = {
  path: string;
  change: 'added' | 'modified' | 'deleted';
  before?: TreeEntry | undefined;
  after?: TreeEntry | undefined;
};
export const Change = z.strictObject({
  path: PathText,
  change: z.enum(['added', 'modified', 'deleted']),
  before: TreeEntry.optional(),
  after: TreeEntry.optional(),
});
/** What a run did to the workspace, in the byte order of the paths. */
export const ChangeSet = z.strictObject({ snapshot: Digest, items: z.array(Change) });
export type ChangeSet = { snapshot: string; items: Change[] };
