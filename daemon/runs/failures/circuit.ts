/** Leave to use a component, from one admission on. Worth nothing once the circuit has moved on. */
export type Pass = { epoch: number };

export type CircuitMove = 'opened' | 'closed' | undefined;

export const failuresMax = 3;
const firstMs = 1_000;
const longestMs = 60_000;
/** A probe that said nothing for so long no longer keeps others from trying. */
const probeMs = 10_000;

/**
 * One component's circuit. Closed: everybody may use it. Open, after three failures in a row: nobody
 * may, for a while that doubles each time. Half-open then: one may try, and its result closes it or
 * opens it again. Times are milliseconds of a clock that never goes back.
 *
 * Only what was admitted since the last move counts, so the failures of those who were inside when
 * it broke are counted once.
 */
export class Circuit {
  failures = 0;
  openUntil: number | undefined;
  /** How many hold a pass, of whatever age. */
  inside = 0;
  #opened = 0;
  #epoch = 0;
  #probeUntil: number | undefined;

  /** Milliseconds until somebody may try; 0 where that is now. */
  waitMs(now: number): number {
    if (this.openUntil === undefined) return 0;
    return Math.max(0, this.openUntil - now, (this.#probeUntil ?? now) - now);
  }

  get isIdle(): boolean {
    return this.inside === 0 && this.failures === 0 && this.openUntil === undefined;
  }

  enter(now: number): Pass {
    this.inside += 1;
    if (this.openUntil !== undefined) this.#probeUntil = now + probeMs;
    return { epoch: this.#epoch };
  }

  /** It was of use. The pass goes on counting. */
  worked(pass: Pass): CircuitMove {
    if (pass.epoch !== this.#epoch) return undefined;
    this.failures = 0;
    if (this.openUntil === undefined) return undefined;
    this.openUntil = undefined;
    this.#probeUntil = undefined;
    this.#opened = 0;
    this.#epoch += 1;
    pass.epoch = this.#epoch;
    return 'closed';
  }

  failed(pass: Pass, now: number): CircuitMove {
    if (pass.epoch !== this.#epoch) return undefined;
    this.failures += 1;
    if (this.openUntil === undefined && this.failures < failuresMax) return undefined;
    this.openUntil = now + this.backOffMs();
    this.#probeUntil = undefined;
    this.#opened += 1;
    this.#epoch += 1;
    return 'opened';
  }

  /** Gone, with or without a word. Whoever tried and says nothing makes room for the next. */
  leave(pass: Pass): void {
    this.inside -= 1;
    if (pass.epoch === this.#epoch) this.#probeUntil = undefined;
  }

  backOffMs(): number {
    return Math.min(longestMs, firstMs * 2 ** Math.min(this.#opened, 16));
  }
}
