import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import { defaultTreeLimits, type TreeLimits } from '#contract/snapshot.ts';
import { BlobStore } from '../artifacts/blobs.ts';
import type { CollectRequest, Collected } from '../artifacts/collect.ts';
import { DiskWatch } from './disk-watch.ts';
import { FreeSpace, type Marks } from './free-space.ts';
import { Intact } from './intact.ts';
import { Layers } from './layers.ts';
import { hasOtherOwners } from './owners.ts';
import { openStore, type Store } from './prune/store.ts';
import { Snapshots } from './snapshots.ts';
import { Trash } from './trash.ts';
import { openThreads, type Threads } from './threads.ts';

export type WorkspaceOptions = {
  /** Absolute; no comma, colon or backslash in it, because mount options have no way to say them. */
  stateDir: string;
  /** Whom the files in a sandbox belong to. */
  sandboxUid: number;
  sandboxGid: number;
  limits?: TreeLimits;
  /** Threads that others use as well and that stay when this workspace is closed. */
  threads?: Threads;
  /** How long the sender of an upload may be silent. */
  silenceMs?: number;
  /** How long nobody must have held the trash before it is emptied. */
  trashQuietMs?: number;
  /** Ids of layers that a task of an earlier daemon may still be writing to. */
  inUse?: (blobs: BlobStore) => Promise<ReadonlySet<string>>;
  /** How much of the file system is kept free. */
  marks?: Marks;
};

export type Workspace = {
  blobs: BlobStore;
  snapshots: Snapshots;
  layers: Layers;
  /** Whether blobs that somebody is about to rely on are whole. */
  intact: Intact;
  /** Keeps tasks to their share of the disk, and the disk from being full. */
  disk: DiskWatch;
  /** What the last daemon left half-built, removed while opening. */
  swept: { snapshots: number; layers: number };
  /** Declared outputs of a task. Only after its last process is dead. */
  collect(request: CollectRequest, signal?: AbortSignal): Promise<Collected>;
  /** Until it is disposed, nothing that was thrown away is removed from the disk. */
  holdTrash(): Disposable;
  /** What there is, to be weighed and pruned. */
  store: Store;
  close(): Promise<void>;
};

/** Everything that a task sees and did. Sweeps what a crash left half-built. */
export async function openWorkspace(options: WorkspaceOptions): Promise<Workspace> {
  const { stateDir } = options;
  // oxlint-disable-next-line no-control-regex -- control characters are what is refused
  if (!stateDir.startsWith('/') || /[,:\\\0-\x1f]/.test(stateDir)) {
    throw new OrchestraError(
      'config.invalid',
      'The state directory must be an absolute path without commas, colons and backslashes',
      { hint: '--state-dir' },
    );
  }
  for (const name of ['', 'blobs', 'snapshots', 'layers', 'l', 'tmp']) {
    await mkdir(join(stateDir, name), { recursive: true, mode: 0o700 });
  }
  // Files in here belong to the sandbox user, whose number a person of this host may have as well.
  for (const name of ['blobs', 'snapshots', 'layers', 'l', 'tmp']) {
    await chmod(join(stateDir, name), 0o700);
  }
  const threads = options.threads ?? openThreads();
  const { files: pool, uploads, measuring, copying } = threads;
  const blobs = await BlobStore.open(join(stateDir, 'blobs'));
  const place = {
    stateDir,
    uid: options.sandboxUid,
    gid: options.sandboxGid,
    limits: options.limits ?? defaultTreeLimits,
  };
  const snapshots = new Snapshots(place, {
    files: pool,
    uploads,
    ...(options.silenceMs === undefined ? {} : { silenceMs: options.silenceMs }),
  });
  const trash = new Trash(stateDir, pool, options.trashQuietMs);
  const layers = new Layers(place, pool, trash, copying);
  const space = new FreeSpace(stateDir, options.marks);
  space.reclaim = () => trash.emptied();
  const swept = {
    snapshots: await trash.sweep(),
    layers: await layers.sweep(await options.inUse?.(blobs)),
  };
  // Behind the sweep: what a task left half-built may be nested deeper than anything that is kept.
  if (hasOtherOwners(place)) await pool.run('own', { place });
  return {
    blobs,
    snapshots,
    layers,
    intact: new Intact(blobs.directory, pool),
    disk: new DiskWatch(space, measuring),
    swept,
    holdTrash: () => trash.hold(),
    store: openStore({ stateDir, pool: threads.pruning, snapshots, layers, trash, space }),
    collect: (request, signal) =>
      pool.run('collect', { request, blobsDir: blobs.directory }, signal ? { signal } : {}),
    close: async () => {
      await layers.close();
      await trash.close();
      if (options.threads === undefined) await threads.close();
    },
  };
}
