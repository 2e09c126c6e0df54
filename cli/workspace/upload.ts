import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import * as fs from 'node:fs';
import { OrchestraError } from '#contract/errors.ts';
import {
  defaultTreeLimits,
  type LeftOut,
  type SnapshotAnswer,
  type SnapshotInfo,
  type TreeEntry,
  type TreeLimits,
  treeForm,
} from '#contract/snapshot.ts';
import { type Draft, draftOf, Memo } from './memo.ts';
import { frames, type Sent } from './frames.ts';
import { type Walk, walk, type WalkedFile } from './walk.ts';

/** The three calls to the daemon that a snapshot needs. */
export type SnapshotTransport = {
  /** `GET /v1/snapshots/<digest>`; `undefined` for 404. */
  find(digest: string): Promise<SnapshotInfo | undefined>;
  missing(digests: string[]): Promise<string[]>;
  /** The memory of a block is used again once the next but one is asked for. */
  upload(body: AsyncIterable<Uint8Array>): Promise<SnapshotAnswer>;
};

export type SnapshotOptions = {
  /** Absolute path. */
  workspace: string;
  /** In the user's cache, one per workspace. */
  memoFile: string;
  transport: SnapshotTransport;
  limits?: TreeLimits;
};

export type TakenSnapshot = SnapshotInfo & {
  leftOut: LeftOut[];
  /** False when the daemon had it already and not a byte was sent. */
  uploaded: boolean;
};

/**
 * Makes the daemon hold what the workspace holds now. What is known from last time costs a stat;
 * what is not is read once, here, and hashed once, in the daemon, while the next file is read.
 * A file that changes meanwhile makes it start again, once.
 */
export async function takeSnapshot(options: SnapshotOptions): Promise<TakenSnapshot> {
  try {
    return await attempt(options);
  } catch (cause) {
    // `blob.unknown`: the daemon lost content between two calls.
    if (!(cause instanceof OrchestraError) || !(cause.code in again)) throw cause;
    return attempt(options);
  }
}

const again: { [code: string]: true } = { 'workspace.changed': true, 'blob.unknown': true };

async function attempt(options: SnapshotOptions): Promise<TakenSnapshot> {
  const { workspace, transport } = options;
  const startedNs = BigInt(Date.now()) * 1_000_000n;
  const memo = Memo.open(options.memoFile);
  if (memo.isEmpty) await announce(transport);
  const walked = walk(workspace, options.limits ?? defaultTreeLimits);
  const known = recallAll(walked, memo);
  const whole = entriesOf(walked, known);
  if (whole !== undefined) {
    const found = await transport.find(digestOfTree(whole));
    if (found !== undefined) {
      memo.save();
      return { ...found, leftOut: walked.leftOut, uploaded: false };
    }
  }
  const missing = new Set(
    known.size === 0 ? [] : await transport.missing([...new Set(known.values())]),
  );
  const sent: Sent[] = [];
  let drafting: Promise<(Draft | undefined)[]> | undefined;
  const answer = await send(transport, frames({ workspace, walked, known, missing, sent }), () => {
    const unknown = sent.filter((file) => !known.has(file.path));
    drafting = draftAll(unknown, startedNs);
  });
  const drafts = (await drafting) ?? [];
  if (drafts.length !== answer.digests.length) {
    throw new OrchestraError('internal.bug', 'The daemon answered for other files than were sent');
  }
  for (const [i, draft] of drafts.entries()) {
    if (draft !== undefined) memo.remember(draft, answer.digests[i] ?? '');
  }
  memo.save();
  const leftOut = [...walked.leftOut, ...answer.leftOut];
  const { digest, files, bytes } = answer;
  return { digest, files, bytes, leftOut, uploaded: true };
}

/**
 * Everything will be sent: asking for nothing lets the daemon get ready while the files are listed.
 * The walk holds this thread, so the question has to be out before; only its answer proves that it
 * is. Not waited for long: what may be wrong shows in the upload.
 */
async function announce(transport: SnapshotTransport): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(() => late.resolve(), 50);
  await Promise.race([transport.missing([]).catch(() => undefined), late.promise]);
  clearTimeout(timer);
}

/** In the time that the daemon takes for its answer, and a few at once: the last block is still on its way. */
async function draftAll(files: readonly Sent[], startedNs: bigint): Promise<(Draft | undefined)[]> {
  const drafts: (Draft | undefined)[] = [];
  for (const { path, stamp } of files) {
    if (drafts.length % 500 === 0) await setImmediate();
    drafts.push(draftOf(path, stamp, startedNs));
  }
  return drafts;
}

/** What went wrong in reading a file is the error, not how the transport put it. */
async function send(
  transport: SnapshotTransport,
  body: AsyncIterable<Uint8Array>,
  onEnd: () => void,
): Promise<SnapshotAnswer> {
  let own: unknown;
  async function* watched(): AsyncGenerator<Uint8Array, void> {
    try {
      yield* body;
      onEnd();
    } catch (cause) {
      own = cause;
      throw cause;
    }
  }
  try {
    return await transport.upload(watched());
  } catch (cause) {
    throw own ?? cause;
  }
}

function recallAll({ entries }: Walk, memo: Memo): Map<string, string> {
  const known = new Map<string, string>();
  for (const entry of entries) {
    if (entry.type !== 'file') continue;
    const digest = memo.recall(entry.path, entry.stamp);
    if (digest !== undefined) known.set(entry.path, digest);
  }
  return known;
}

function entriesOf({ entries }: Walk, known: ReadonlyMap<string, string>): TreeEntry[] | undefined {
  const whole: TreeEntry[] = [];
  for (const entry of entries) {
    if (entry.type !== 'file') {
      whole.push(entry);
      continue;
    }
    const digest = known.get(entry.path);
    if (digest === undefined) return undefined;
    whole.push(fileEntry(entry, digest));
  }
  return whole;
}

function fileEntry({ path, executable, stamp }: WalkedFile, digest: string): TreeEntry {
  return { type: 'file', path, executable, bytes: stamp.size, digest };
}

function digestOfTree(entries: TreeEntry[]): string {
  return `sha256:${createHash('sha256').update(treeForm(entries), 'latin1').digest('hex')}`;
}

/** The name of a workspace's memo in the cache. */
export function memoName(workspace: string): string {
  const real = fs.realpathSync(workspace);
  return `memo-${createHash('sha256').update(real).digest('hex').slice(0, 32)}`;
}
