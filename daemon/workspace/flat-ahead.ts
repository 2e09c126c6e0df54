import { hash } from 'node:crypto';
import type { Digest } from '#contract/ids.ts';
import type { Place, Stack } from './operations.ts';
import { flattenedOf } from './stack.ts';
import type { WorkerPool } from './worker-pool.ts';

const madeMax = 1000;

/**
 * Makes one tree of the oldest layers of a long chain before a task needs it, behind what runs: one
 * after the other, and each once. Who needs one that is being made waits for it. That it could not be
 * made says nothing: who needs it tries again, and tells why.
 */
export class FlatAhead {
  readonly #place: Place;
  readonly #pool: WorkerPool;
  readonly #nothing: Digest;
  readonly #closed = new AbortController();
  readonly #made = new Set<string>();
  readonly #making = new Map<string, Promise<void>>();
  #last: Promise<void> = Promise.resolve();

  constructor(place: Place, pool: WorkerPool, nothing: Digest) {
    this.#place = place;
    this.#pool = pool;
    this.#nothing = nothing;
  }

  /** Resolves once what this stack needs is not being made any more. */
  async ready(stack: Stack): Promise<void> {
    const full = this.#full(stack);
    const count = flattenedOf(this.#place, stack, full.length);
    if (count > 0) await this.#making.get(keyOf(stack, full, count));
  }

  /** A task over this stack is about to run; others may come over it. */
  ahead(stack: Stack): void {
    const full = this.#full(stack);
    const count = flattenedOf(this.#place, stack, full.length, true);
    if (count === 0 || this.#closed.signal.aborted) return;
    const key = keyOf(stack, full, count);
    if (this.#made.has(key)) return;
    if (this.#made.size >= madeMax) this.#made.clear();
    this.#made.add(key);
    const making = this.#last.then(async () => this.#make(stack, count, key));
    this.#last = making;
    this.#making.set(key, making);
    void making.finally(() => this.#making.delete(key));
  }

  /** Some of them may have been removed. */
  forget(): void {
    this.#made.clear();
  }

  /** What is half made is left in `tmp/`, for the next start to sweep. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#last;
  }

  async #make(stack: Stack, count: number, key: string): Promise<void> {
    try {
      const args = { place: this.#place, stack, count };
      await this.#pool.run('flatten', args, { signal: this.#closed.signal });
    } catch {
      this.#made.delete(key);
    }
  }

  #full({ ancestors }: Stack): Digest[] {
    return ancestors.flatMap(({ layer }) => (layer === this.#nothing ? [] : [layer]));
  }
}

function keyOf({ snapshot }: Stack, full: readonly Digest[], count: number): string {
  return hash('sha256', [snapshot, ...full.slice(0, count)].join('\n'), 'hex');
}
