import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { FreeSpace } from '../free-space.ts';
import type { Layers } from '../layers.ts';
import type { Snapshots } from '../snapshots.ts';
import type { Trash } from '../trash.ts';
import type { WorkerPool } from '../worker-pool.ts';
import type { PrunedPart, PruneWork, RunRoots } from './request.ts';

export type StoreWork = Omit<PruneWork, 'stateDir' | 'aside'>;

/** All that snapshots, layers, blobs and packages take, as a whole. */
export type Store = {
  /** What each run adds to what those before it keep, in bytes; the one that matters most first. */
  weigh(runs: readonly RunRoots[], signal?: AbortSignal): Promise<number[]>;
  /** What would go, if it were pruned now. */
  look(work: StoreWork, signal?: AbortSignal): Promise<PrunedPart[]>;
  /**
   * Takes it out of the store. The room on disk is free a little later, or when `emptied` resolves.
   * Aborted, some of it has gone and everything that is kept is whole.
   */
  prune(work: StoreWork, signal?: AbortSignal): Promise<PrunedPart[]>;
  emptied(): Promise<void>;
  space: FreeSpace;
};

type Parts = {
  stateDir: string;
  pool: WorkerPool;
  snapshots: Snapshots;
  layers: Layers;
  trash: Trash;
  space: FreeSpace;
};

export function openStore({ stateDir, pool, snapshots, layers, trash, space }: Parts): Store {
  const asked = (work: StoreWork) => ({
    ...work,
    stateDir,
    now: Math.min(work.now, snapshots.ingestingSince),
  });
  const options = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { signal });
  return {
    space,
    weigh: (runs, signal) => pool.run('weigh', { stateDir, runs }, options(signal)),
    look: (work, signal) => pool.run('prune', asked(work), options(signal)),
    prune: async (work, signal) => {
      const aside = join(stateDir, 'tmp', `g${randomBytes(6).toString('hex')}`);
      try {
        return await pool.run('prune', { ...asked(work), aside }, options(signal));
      } finally {
        // What they remember may be gone.
        snapshots.forget();
        layers.forget();
        await trash.put(aside);
      }
    },
    emptied: () => trash.emptied(),
  };
}
