import type { SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';

/** How a try to give a checkpoint away went. */
export type Delivered = { ok: true } | Undelivered;
export type Undelivered = {
  ok: false;
  /** A word: the same one again is not recorded anew. */
  reason: string;
  detail: string;
  /** HTTP, where there was an answer. */
  status?: number;
  /** The other side said no, or contradicts this log: trying again soon does not help. */
  isRefusal?: boolean;
  isAlarm?: boolean;
};

/** One place outside that a checkpoint is given to. */
export interface Delivery {
  readonly kind: 'anchor' | 'witness';
  readonly name: string;
  /** Not more often than this. */
  readonly everyMs: number;
  /**
   * Never throws for what the other side does, always ends soon after its own deadline or the
   * signal. A success is on record when it returns.
   */
  deliver(checkpoint: SignedCheckpoint, signal: AbortSignal): Promise<Delivered>;
  recordFailure(failure: Undelivered, size: number, failures: number): Promise<void>;
}
