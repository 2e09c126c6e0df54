/** What is below or above counts as being at the edge. */
export type Range = { from: number; to: number };

const buckets = 64;
const decay = 0.9;
const forgottenBelow = 0.01;

/**
 * Samples of one figure in logarithmic buckets, the younger ones counting more: each new one takes a
 * tenth off the weight of all before it. Keeps only the buckets that were hit, most of which are
 * near each other.
 */
export class Histogram {
  readonly #weights = new Map<number, number>();
  readonly #from: number;
  /** From one bucket to the next, in logarithms. For durations about a fifth. */
  readonly #step: number;

  constructor({ from, to }: Range) {
    this.#from = from;
    this.#step = Math.log(to / from) / buckets;
  }

  /** What the samples weigh together: 1 after the first, never above 10. */
  get weight(): number {
    let sum = 0;
    for (const weight of this.#weights.values()) sum += weight;
    return sum;
  }

  note(value: number): void {
    for (const [bucket, weight] of this.#weights) {
      const left = weight * decay;
      if (left < forgottenBelow) this.#weights.delete(bucket);
      else this.#weights.set(bucket, left);
    }
    const bucket = this.#bucketOf(value);
    this.#weights.set(bucket, (this.#weights.get(bucket) ?? 0) + 1);
  }

  /** The middle of the bucket in which `share` of the weight is reached; undefined without samples. */
  quantile(share: number): number | undefined {
    const wanted = this.weight * share;
    let sum = 0;
    let last: number | undefined;
    for (const [bucket, weight] of [...this.#weights].toSorted(([a], [b]) => a - b)) {
      sum += weight;
      last = this.#middleOf(bucket);
      if (sum >= wanted) return last;
    }
    return last;
  }

  #bucketOf(value: number): number {
    const at = Math.floor(Math.log(value / this.#from) / this.#step);
    return Math.min(buckets - 1, Math.max(0, at));
  }

  #middleOf(bucket: number): number {
    return this.#from * Math.exp((bucket + 0.5) * this.#step);
  }
}
