import { OrchestraError } from '#contract/errors.ts';
import { diskLow, type FreeSpace, type Space } from './free-space.ts';
import { measure, type DiskUse } from './measure.ts';
import type { WorkerPool } from './worker-pool.ts';

export type WatchRequest = {
  /** The directories that a task writes into, on the file system of the state directory. */
  dirs: readonly string[];
  allowance: DiskUse;
  /** Processes that may keep files without a name; asked at each measure. */
  processes(): readonly number[];
  /** Called once, with what was measured. */
  onOver(limit: 'disk' | 'disk_files', use: DiskUse): void;
  /** Called once, when nothing can go on: the disk is about to be full, or cannot be measured. */
  onFailure(error: OrchestraError): void;
};

export type DiskWatched = Disposable & {
  /** What the directories hold when nobody writes any more. */
  final(): Promise<DiskUse>;
};

type Watched = WatchRequest & {
  use: DiskUse;
  /** What was free when `use` was measured; not known until the first look. */
  space: Space | undefined;
  measuredAt: number;
  tookMs: number;
  isMeasuring: boolean;
  isOver: boolean;
};

const tickMs = 100;
const regularMs = 5_000;
const inlineMax = 64;

/**
 * Keeps tasks to their share of a disk that has no quotas. While one runs, the file system is asked
 * ten times a second how much is free, which costs next to nothing; only when it lost as much as
 * some task has left is what that task wrote counted, in a thread. Besides, everybody is counted now
 * and then, because somebody else may give back what a task takes.
 *
 * A task goes over its limit by at most what it writes in a tick, a count and the time to kill it.
 */
export class DiskWatch {
  readonly space: FreeSpace;
  readonly #pool: WorkerPool;
  readonly #watched = new Set<Watched>();
  #timer: NodeJS.Timeout | undefined;
  #isTicking = false;

  constructor(space: FreeSpace, pool: WorkerPool) {
    this.space = space;
    this.#pool = pool;
  }

  /** To be called before the directories, which are empty, are written to. */
  watch(request: WatchRequest): DiskWatched {
    const watched: Watched = {
      ...request,
      use: { bytes: 0, files: 0 },
      space: undefined,
      measuredAt: performance.now(),
      tookMs: 0,
      isMeasuring: false,
      isOver: false,
    };
    this.#watched.add(watched);
    this.#timer ??= setInterval(() => void this.#tick(), tickMs).unref();
    void this.#tick();
    return {
      final: async () => {
        this.#end(watched);
        return this.#count(watched, false);
      },
      [Symbol.dispose]: () => this.#end(watched),
    };
  }

  #end(watched: Watched): void {
    this.#watched.delete(watched);
    if (this.#watched.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #tick(): Promise<void> {
    if (this.#isTicking) return;
    this.#isTicking = true;
    try {
      const space = await this.space.read();
      const isCritical = this.space.level(space) === 'critical';
      for (const watched of this.#watched) {
        watched.space ??= space;
        if (isCritical) this.#low(watched, space);
        else if (isDue(watched, space)) void this.#measure(watched, space);
      }
    } catch {
      // Nothing is known of the disk in this moment; the next tick asks again.
    } finally {
      this.#isTicking = false;
    }
  }

  #low(watched: Watched, space: Space): void {
    this.#watched.delete(watched);
    watched.onFailure(diskLow(space, this.space.floors(space).stop, 'what ran was ended'));
  }

  async #measure(watched: Watched, space: Space): Promise<void> {
    watched.isMeasuring = true;
    const startedAt = performance.now();
    try {
      watched.use = await this.#count(watched, true);
      watched.space = space;
    } catch (error) {
      // Else the last figure stands, and the next count is due soon.
      if (error instanceof OrchestraError && error.code === 'workspace.too_large') {
        this.#watched.delete(watched);
        watched.onFailure(error);
      }
    }
    watched.isMeasuring = false;
    watched.measuredAt = performance.now();
    watched.tookMs = watched.measuredAt - startedAt;
    const limit = overOf(watched.use, watched.allowance);
    if (limit === undefined || watched.isOver || !this.#watched.has(watched)) return;
    watched.isOver = true;
    watched.onOver(limit, watched.use);
  }

  async #count(watched: Watched, isRunning: boolean): Promise<DiskUse> {
    const { dirs, allowance } = watched;
    const processes = isRunning ? watched.processes() : [];
    // Enough to say how far it went, and an end to the counting all the same.
    const request = { dirs, filesMax: allowance.files * 2 + 1000, processes };
    // Most layers are small when their task ends: a look costs less than a thread.
    const few = isRunning ? undefined : measure(request, inlineMax);
    const use = few ?? (await this.#pool.run('measure', request));
    if (use === undefined) throw new OrchestraError('internal.bug', 'A measure gave up');
    return use;
  }
}

/** Which of the two limits is passed, bytes first. */
export function overOf(use: DiskUse, allowance: DiskUse): 'disk' | 'disk_files' | undefined {
  if (use.bytes > allowance.bytes) return 'disk';
  return use.files > allowance.files ? 'disk_files' : undefined;
}

function isDue(watched: Watched, now: Space): boolean {
  const { use, allowance, space, measuredAt, tookMs, isMeasuring, isOver } = watched;
  if (isMeasuring || isOver || space === undefined) return false;
  const age = performance.now() - measuredAt;
  if (age > Math.max(regularMs, tookMs * 20)) return true;
  // However much others write, counting takes half of a thread at most.
  if (age < tookMs) return false;
  const lostFiles = now.filesTotal === 0 ? 0 : space.filesFree - now.filesFree;
  return (
    space.free - now.free >= allowance.bytes - use.bytes || lostFiles >= allowance.files - use.files
  );
}
