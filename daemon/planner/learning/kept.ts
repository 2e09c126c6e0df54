/**
 * The last samples of each of so many keys. What is kept depends only on what was noted, and never
 * on who looked: made anew from the log it is the same.
 */
export class Kept<T> {
  readonly #of = new Map<string, T[]>();
  readonly #keysMax: number;
  readonly #samplesMax: number;

  constructor({ keys, samples }: { keys: number; samples: number }) {
    this.#keysMax = keys;
    this.#samplesMax = samples;
  }

  note(key: string, sample: T): void {
    const samples = this.#of.get(key) ?? [];
    samples.push(sample);
    if (samples.length > this.#samplesMax) samples.shift();
    // To the end of the order, in which the oldest are forgotten.
    this.#of.delete(key);
    this.#of.set(key, samples);
    if (this.#of.size <= this.#keysMax) return;
    for (const oldest of this.#of.keys()) {
      this.#of.delete(oldest);
      return;
    }
  }

  /** Oldest first. */
  of(key: string): readonly T[] {
    return this.#of.get(key) ?? [];
  }

  forget(isForgotten: (key: string, sample: T) => boolean): void {
    for (const [key, samples] of this.#of) {
      const left = samples.filter((sample) => !isForgotten(key, sample));
      if (left.length === 0) this.#of.delete(key);
      else this.#of.set(key, left);
    }
  }

  /** By key. */
  entries(): [string, readonly T[]][] {
    return [...this.#of].toSorted(([a], [b]) => (a < b ? -1 : 1));
  }
}
