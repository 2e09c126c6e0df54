import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import type { WorkerPool } from './worker-pool.ts';

const aheadMax = 64;

/**
 * Directories that nobody needs any more. Each leaves its place at once, by a rename into `tmp/`,
 * and is removed behind everybody's back, one at a time: taking a thousand files away can last
 * longer than the task that made them. What is still there at the end goes at the next start.
 */
export class Trash {
  readonly #tmp: string;
  readonly #pool: WorkerPool;
  readonly #ending = new AbortController();
  #last: Promise<void> = Promise.resolve();
  #ahead = 0;

  constructor(stateDir: string, pool: WorkerPool) {
    this.#tmp = join(stateDir, 'tmp');
    this.#pool = pool;
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
    this.#ahead += 1;
    this.#last = this.#last.then(() => this.#remove(temp));
    // Whoever throws away quicker than the disk can follow waits for it.
    if (this.#ahead > aheadMax) await this.#last;
  }

  /** Resolves when all that was thrown away so far is gone. */
  async emptied(): Promise<void> {
    await this.#last;
  }

  async close(): Promise<void> {
    this.#ending.abort();
    await this.#last;
  }

  async #remove(temp: string): Promise<void> {
    try {
      await this.#pool.run('remove', { path: temp }, { signal: this.#ending.signal });
    } catch {
      // Nobody is left to tell, and the next start tries again and tells.
    } finally {
      this.#ahead -= 1;
    }
  }
}
