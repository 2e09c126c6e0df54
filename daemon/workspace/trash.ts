import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkerPool } from './worker-pool.ts';

const aheadMax = 64;

/**
 * Directories that nobody needs any more. Each leaves its place at once, by a rename into `tmp/`,
 * and is removed behind everybody's back, one at a time, when nobody has held the trash for a while:
 * to take thousands of files away costs seconds of processor time, and for minutes afterwards ext4
 * creates files at half its speed (it passes over inodes that were freed a moment ago). What is
 * still there at the end goes in the life of the next daemon.
 */
export class Trash {
  readonly #tmp: string;
  readonly #pool: WorkerPool;
  readonly #quietMs: number;
  readonly #ending = new AbortController();
  #last: Promise<void> = Promise.resolve();
  #ahead = 0;
  #held = 0;
  #flushing = 0;
  #wake: () => void = () => {};

  constructor(stateDir: string, pool: WorkerPool, quietMs = 20_000) {
    this.#tmp = join(stateDir, 'tmp');
    this.#pool = pool;
    this.#quietMs = quietMs;
  }

  /** Resolves when nothing is at `path`, which may be so already. */
  async put(path: string): Promise<void> {
    const temp = join(this.#tmp, `t${randomBytes(6).toString('hex')}`);
    try {
      await fs.rename(path, temp);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw cause;
    }
    this.#enqueue(temp);
    // Whoever throws away quicker than the disk can follow waits for it.
    if (this.#ahead > aheadMax) await this.emptied();
  }

  /** Takes on what earlier daemons left in `tmp/`. Only at start; answers how much that is. */
  async sweep(): Promise<number> {
    const names = await fs.readdir(this.#tmp);
    for (const name of names) this.#enqueue(join(this.#tmp, name));
    return names.length;
  }

  /** Until it is disposed, nothing is removed: what runs has the disk for itself. */
  hold(): Disposable {
    this.#held += 1;
    let isHeld = true;
    return {
      [Symbol.dispose]: () => {
        if (isHeld) this.#held -= 1;
        isHeld = false;
        this.#wake();
      },
    };
  }

  /** Removes all that was thrown away so far, held or not, and resolves when it is gone. */
  async emptied(): Promise<void> {
    this.#flushing += 1;
    this.#wake();
    await this.#last.finally(() => {
      this.#flushing -= 1;
    });
  }

  async close(): Promise<void> {
    this.#ending.abort();
    this.#wake();
    await this.#last;
  }

  #enqueue(temp: string): void {
    this.#ahead += 1;
    this.#last = this.#last.then(() => this.#remove(temp));
  }

  async #remove(temp: string): Promise<void> {
    try {
      await this.#quiet();
      await this.#pool.run('remove', { path: temp }, { signal: this.#ending.signal });
    } catch {
      // Nobody is left to tell, and the next start tries again and tells.
    } finally {
      this.#ahead -= 1;
    }
  }

  /** Waits until nobody has held the trash for `quietMs`, unless it has to be emptied anyway. */
  async #quiet(): Promise<void> {
    while (this.#flushing === 0 && !this.#ending.signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<'woken' | 'quiet'>();
      this.#wake = () => resolve('woken');
      const timer = setTimeout(() => resolve('quiet'), this.#quietMs).unref();
      const why = await promise;
      clearTimeout(timer);
      if (why === 'quiet' && this.#held === 0) return;
    }
  }
}
