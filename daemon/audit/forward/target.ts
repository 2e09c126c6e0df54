/** Records on their way: numbers `from` up to, not including, `to`, of which some may not fit. */
export type Batch = {
  from: number;
  to: number;
  /** Each spelled as the format has it, without an end. */
  texts: readonly string[];
  bytes: number;
};

/**
 * Who takes records.
 *
 * Order: one call at a time, batches in the order of their numbers; after a failure from the last
 * settled number on, so a receiver may see records twice, never a gap. Every call ends within its
 * time limit.
 */
export interface Target {
  /**
   * Resolves when the receiver has them on its word; where it gives none (`settled` is there), when
   * they are on their way. Rejects with what went wrong, a `Refusal` where the receiver said more.
   */
  send(batch: Batch, signal: AbortSignal): Promise<void>;
  /**
   * The number of the first record that may not have arrived, of those that were sent. Throws where
   * something that was on its way is lost.
   */
  settled?(): number | undefined;
  /** Lets go of what is open; what arrived in the end counts for `settled`. */
  close(): Promise<void>;
}

/** What a receiver said beyond no. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly retryAfterMs: number | undefined;
  readonly isTooLarge: boolean;

  constructor(
    message: string,
    more: { retryAfterMs?: number | undefined; isTooLarge?: boolean } = {},
  ) {
    super(message);
    this.retryAfterMs = more.retryAfterMs;
    this.isTooLarge = more.isTooLarge ?? false;
  }
}
