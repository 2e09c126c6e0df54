import type { Logger } from 'pino';
import type { AnchorTarget } from '#contract/anchoring.ts';
import type { SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import type { Delivered, Delivery, Undelivered } from './delivery.ts';
import type { AnchorLedger } from './ledger.ts';

export type TargetParts = {
  newest: () => SignedCheckpoint | undefined;
  ledger: AnchorLedger;
  logger: Pick<Logger, 'warn'>;
  /** After the first failure and at most; ten times as long after a refusal. */
  pauses?: { firstMs: number; mostMs: number };
};

const standardPauses = { firstMs: 1_000, mostMs: 10 * 60_000 };
// One that fails for days says so every hour, not at every try.
const repeatMs = 60 * 60_000;

/**
 * Gives the newest checkpoint to one place: one at a time, not more often than the place wants,
 * later each time it fails. Nobody waits for it; one that hangs delays no other.
 */
export class Target {
  readonly #delivery: Delivery;
  readonly #parts: TargetParts;
  readonly #closing = new AbortController();
  #sending: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #notBefore = 0;
  #isClosed = false;
  #failures = 0;
  #failure: { reason: string; detail: string } | undefined;
  #recorded = { reason: '', at: Number.NEGATIVE_INFINITY };

  constructor(delivery: Delivery, parts: TargetParts) {
    this.#delivery = delivery;
    this.#parts = parts;
  }

  /** There may be something new; sends it when its time has come. */
  poke(): void {
    if (this.#sending !== undefined || this.#isClosed || !this.#isDue()) return;
    clearTimeout(this.#timer);
    const waitMs = this.#notBefore - performance.now();
    if (waitMs <= 0) return this.#send();
    this.#timer = setTimeout(() => this.poke(), waitMs).unref();
  }

  /** Sends at once, also what is not worth it; resolves when an answer is there. */
  async now(): Promise<void> {
    await this.#sending;
    if (this.#isClosed) return;
    const newest = this.#parts.newest();
    if (newest !== undefined && newest.size > this.#held.size) this.#send();
    await this.#sending;
  }

  /** Lets what is on its way arrive for so long, then cuts it off. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    const timer = setTimeout(() => this.#closing.abort(), graceMs);
    await this.#sending;
    clearTimeout(timer);
  }

  view(): AnchorTarget {
    const { kind, name } = this.#delivery;
    const { size, at } = this.#held;
    return {
      kind,
      name,
      size,
      ...(size === 0 ? {} : { at: new Date(at).toISOString() }),
      state: this.#sending ? 'sending' : this.#failures > 0 ? 'waiting' : 'idle',
      failures: this.#failures,
      ...(this.#failure === undefined ? {} : { failure: this.#failure }),
    };
  }

  get #held() {
    return this.#parts.ledger.held(this.#delivery.kind, this.#delivery.name);
  }

  #isDue(): boolean {
    const newest = this.#parts.newest();
    const { size } = this.#held;
    return newest !== undefined && newest.size > size && this.#parts.ledger.hasMoreThan(size);
  }

  #send(): void {
    clearTimeout(this.#timer);
    const sending = this.#deliver();
    this.#sending = sending;
    void sending.then(() => {
      this.#sending = undefined;
      this.poke();
    });
  }

  /** Never rejects. */
  async #deliver(): Promise<void> {
    const checkpoint = this.#parts.newest();
    if (checkpoint === undefined) return;
    try {
      const delivered = await this.#delivery.deliver(checkpoint, this.#closing.signal);
      await this.#note(delivered, checkpoint.size);
    } catch (error) {
      // Nothing of the other side's doing: the log does not take the record, or a bug of ours.
      this.#parts.logger.warn({ err: error, name: this.#delivery.name }, 'a checkpoint stayed');
      this.#pause({ isRefusal: false });
    }
  }

  async #note(delivered: Delivered, size: number): Promise<void> {
    if (delivered.ok) {
      this.#failures = 0;
      this.#failure = undefined;
      this.#recorded = { reason: '', at: Number.NEGATIVE_INFINITY };
      this.#wait(this.#delivery.everyMs);
      return;
    }
    if (this.#closing.signal.aborted) return;
    const { reason, detail } = delivered;
    this.#pause({ isRefusal: delivered.isRefusal === true });
    this.#failure = { reason, detail };
    await this.#record(delivered, size);
  }

  async #record(failure: Undelivered, size: number): Promise<void> {
    const at = performance.now();
    if (failure.reason === this.#recorded.reason && at - this.#recorded.at < repeatMs) return;
    this.#recorded = { reason: failure.reason, at };
    await this.#delivery.recordFailure(failure, size, this.#failures);
  }

  #pause({ isRefusal }: { isRefusal: boolean }): void {
    const { firstMs, mostMs } = this.#parts.pauses ?? standardPauses;
    this.#failures += 1;
    const long = firstMs * 2 ** Math.min(this.#failures - 1, 30) * (isRefusal ? 10 : 1);
    // Two daemons that lost one witness at the same moment do not come back at the same moment.
    this.#wait(Math.min(long, mostMs) * (0.75 + Math.random() / 4));
  }

  #wait(ms: number): void {
    this.#notBefore = performance.now() + ms;
  }
}
