import { hash } from 'node:crypto';
import { Histogram, type Range } from './histogram.ts';
import { Recent } from './recent.ts';

/** What of a task says how it will behave: changed files do not, other arguments do. */
export type KnownBy = { tool: string; args: readonly string[]; cwd: string };

type Circle = {
  keyOf: (task: KnownBy) => string;
  /** So much weight of samples leans on nothing wider any more. */
  enough: number;
  known: Recent<string, Histogram>;
};

/**
 * What is known of one figure of tasks. A task is known by tool, arguments and directory; one that
 * never ran is expected to be like the same tool with the same first argument, or like the same
 * tool, or like a guess. Of these wider circles a few samples say little, so they lean on the next
 * one by degrees. One run of the very task is enough: where two thirds of it were still taken from
 * its like (tried in `bench/schedule.ts`), a long task among short ones was started too late on the
 * second run.
 */
export class Learned {
  readonly #circles: readonly Circle[];
  readonly #range: Range;

  /** So many keys are kept of each circle, those that were used last. */
  constructor(range: Range, keysMax: number) {
    const circle = (enough: number, partsOf: (task: KnownBy) => unknown[]): Circle => ({
      keyOf: (task) => keyOf(partsOf(task)),
      enough,
      known: new Recent(keysMax),
    });
    this.#range = range;
    this.#circles = [
      circle(1, ({ tool, args, cwd }) => [tool, args, cwd]),
      circle(3, ({ tool, args }) => [tool, args[0] ?? '']),
      circle(3, ({ tool }) => [tool]),
    ];
  }

  /** What is no number, or below nothing, is ignored. */
  note(task: KnownBy, value: number): void {
    if (!Number.isFinite(value) || value < 0) return;
    for (const { keyOf, known } of this.#circles) {
      const key = keyOf(task);
      let histogram = known.get(key);
      if (!histogram) known.set(key, (histogram = new Histogram(this.#range)));
      histogram.note(value);
    }
  }

  /** As if nothing had ever been noted. */
  clear(): void {
    for (const circle of this.#circles) circle.known.clear();
  }

  /** Whether anything at all is known that a figure could stand on. */
  knows(task: KnownBy): boolean {
    return this.#circles.some(({ keyOf, known }) => known.get(keyOf(task)) !== undefined);
  }

  /** What such a share of its like stayed below. `guess`: where nobody knows. */
  quantile(task: KnownBy, share: number, guess: number): number {
    let expected = guess;
    for (const { keyOf, enough, known } of this.#circles.toReversed()) {
      const histogram = known.get(keyOf(task));
      const own = histogram?.quantile(share);
      if (histogram === undefined || own === undefined) continue;
      const trust = Math.min(1, histogram.weight / enough);
      // In logarithms, as the buckets are: between a second and a minute lie eight seconds.
      expected = expected ** (1 - trust) * own ** trust;
    }
    return Math.round(expected);
  }
}

// Arguments may be long; a key never is.
function keyOf(parts: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url');
}
