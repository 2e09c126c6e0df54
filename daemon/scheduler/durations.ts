import { hash } from 'node:crypto';
import { Histogram } from './histogram.ts';
import { Recent } from './recent.ts';

/** What of a task says how long it takes: changed files do not, other arguments do. */
export type TimedTask = { tool: string; args: readonly string[]; cwd: string };

/** Where nobody knows anything. */
export const unknownMs = 20_000;

/** Samples enough to be believed before those of a wider circle. */
const enough = 3;

/**
 * How long tasks took that ran to a success: a fold over the log, never a record of its own. A task
 * is known by tool, arguments and directory; while too little is known of that, by tool and first
 * argument, then by tool. Where no circle knows enough the narrowest that knows anything counts.
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
    return this.#quantile(task, 0.5) ?? unknownMs;
  }

  /** Nine of ten took no longer. */
  p90(task: TimedTask): number {
    return this.#quantile(task, 0.9) ?? unknownMs;
  }

  /** Whether anything is known that a figure could stand on. */
  knows(task: TimedTask): boolean {
    return this.#quantile(task, 0.5) !== undefined;
  }

  #quantile(task: TimedTask, share: number): number | undefined {
    let narrowest: Histogram | undefined;
    for (const { keyOf, known } of this.#circles) {
      const histogram = known.get(keyOf(task));
      if (histogram && histogram.weight >= enough) return histogram.quantile(share);
      narrowest ??= histogram;
    }
    return narrowest?.quantile(share);
  }
}

// Arguments may be long; a key never is.
function keyOf(parts: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(parts), 'base64url');
}
