import { Learned, type KnownBy } from './learned.ts';

/** Where nobody knows anything. */
export const unknownMs = 20_000;

const range = { from: 50, to: 2 * 3_600_000 };

/** How long tasks took that ran to a success: a fold over the log, never a record of its own. */
export class Durations {
  readonly #learned: Learned;

  constructor(keysMax = 16_384) {
    this.#learned = new Learned(range, keysMax);
  }

  /** Only tasks that ran, and succeeded. What is no duration is ignored. */
  note(task: KnownBy, ms: number): void {
    this.#learned.note(task, ms);
  }

  clear(): void {
    this.#learned.clear();
  }

  /** Half of them took no longer. */
  p50(task: KnownBy): number {
    return this.#learned.quantile(task, 0.5, unknownMs);
  }

  /** Nine of ten took no longer. */
  p90(task: KnownBy): number {
    return this.#learned.quantile(task, 0.9, unknownMs);
  }

  /** Whether anything at all is known that a figure could stand on. */
  knows(task: KnownBy): boolean {
    return this.#learned.knows(task);
  }
}
