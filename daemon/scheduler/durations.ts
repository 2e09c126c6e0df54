import { hash } from 'node:crypto';
import { Histogram } from './histogram.ts';
import { Recent } from './recent.ts';

/** What of a task says how long it takes: changed files do not, other arguments do. */
export type TimedTask = { tool: string; args: readonly string[]; cwd: string };

/** Where nobody knows anything. */
export const unknownMs = 20_000;

/** So much weight of samples needs nothing of a wider circle any more. */
const enough = 3;

/**
 * How long tasks took that ran to a success: a fold over the log, never a record of its own. A task
 * is known by tool, arguments and directory; while little is known of that, it leans on what has
 * the same tool and first argument, that on what has the same tool, and that on a guess. It leans
 * by degrees, not all or nothing, so that even one earlier run tells the long tasks from the short.
 */
export class Durations {
  readonly #circles: readonly {
    keyOf: (task: TimedTask) => string;
    known: Recent<string, Histogram>;
  }[];

  /** So many keys are kept of each circle, those that were used last. */
  constructor(keysMax = 16_384) {
    this.#circles = [
      ({ tool, args, cwd }: TimedTask) => keyOf([tool, args, cwd]),
      ({ tool, args }: TimedTask) => keyOf([tool, args[0] ?? '']),
      ({ tool }: TimedTask) => keyOf([tool]),
    ].map((key) => ({ keyOf: key, known: new Recent(keysMax) }));
  }

  /** Only tasks that ran, and succeeded. What is no duration is ignored. */
  note(task: TimedTask, ms: number): void {
    if (!Number.isFinite(ms) || ms < 0) return;
    for (const { keyOf, known } of this.#circles) {
      const key = keyOf(task);
      let histogram = known.get(key);
      if (!histogram) known.set(key, (histogram = new Histogram()));
      histogram.note(ms);
    }
  }

  /** Half of them took no longer. */
  p50(task: TimedTask): number {
    return this.#quantile(task, 0.5);
  }

  /** Nine of ten took no longer. */
  p90(task: TimedTask): number {
    return this.#quantile(task, 0.9);
  }

  /** Whether anything at all is known that a figure could stand on. */
  knows(task: TimedTask): boolean {
    return this.#circles.some(({ keyOf, known }) => known.get(keyOf(task)) !== undefined);
  }

  #quantile(task: TimedTask, share: number): number {
    let expected = unknownMs;
    for (const { keyOf, known } of this.#circles.toReversed()) {
      const histogram = known.get(keyOf(task));
      const own = histogram?.quantile(share);
      if (histogram === undefined || own === undefined) continue;
      const trust = Math.min(1, histogram.weight / enough);
      // Between two durations lies their geometric mean: the buckets are logarithmic too.
      expected = expected ** (1 - trust) * own ** trust;
    }
    return Math.round(expected);
  }
}

// Arguments may be long; a key never is.
function keyOf(parts: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url');
}
