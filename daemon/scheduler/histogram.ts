const buckets = 64;
const shortestMs = 50;
const longestMs = 2 * 3_600_000;
/** From one bucket to the next, about a fifth: a quantile is never off by more than a tenth. */
const growth = Math.log(longestMs / shortestMs) / buckets;
const decay = 0.9;
const forgottenBelow = 0.01;

/**
 * How long something took, the younger samples counting more: each new one takes a tenth off the
 * weight of all before it. Keeps only the buckets that were hit, most of which are near each other.
 */
export class Histogram {
  readonly #weights = new Map<number, number>();

  /** What the samples weigh together: 1 after the first, never above 10. */
  get weight(): number {
    let sum = 0;
    for (const weight of this.#weights.values()) sum += weight;
    return sum;
  }

  note(ms: number): void {
    for (const [bucket, weight] of this.#weights) {
      const left = weight * decay;
      if (left < forgottenBelow) this.#weights.delete(bucket);
      else this.#weights.set(bucket, left);
    }
    const bucket = bucketOf(ms);
    this.#weights.set(bucket, (this.#weights.get(bucket) ?? 0) + 1);
  }

  /** The middle of the bucket in which `share` of the weight is reached; undefined without samples. */
  quantile(share: number): number | undefined {
    const wanted = this.weight * share;
    let sum = 0;
    let last: number | undefined;
    for (const [bucket, weight] of [...this.#weights].toSorted(([a], [b]) => a - b)) {
      sum += weight;
      last = middleOf(bucket);
      if (sum >= wanted) return last;
    }
    return last;
  }
}

function bucketOf(ms: number): number {
  const at = Math.floor(Math.log(ms / shortestMs) / growth);
  return Math.min(buckets - 1, Math.max(0, at));
}

function middleOf(bucket: number): number {
  return Math.round(shortestMs * Math.exp((bucket + 0.5) * growth));
}
