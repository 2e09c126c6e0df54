import { setTimeout as sleep } from 'node:timers/promises';
import type { ForwarderStatus } from '#contract/audit-export.ts';
import { OrchestraError } from '#contract/errors.ts';
import { cutText } from '../../base/text.ts';
import { visible } from '../export/visible.ts';
import type { Log, LogLine } from '../types.ts';
import { Gathering, type GatherOptions } from './batches.ts';
import type { Cursor } from './cursor.ts';
import { Refusal, type Batch, type Target } from './target.ts';
import { waitMs } from './waits.ts';

export type ForwarderOptions = Omit<GatherOptions, 'upto'> & {
  log: Log;
  name: string;
  /** As it may be shown. */
  to: string;
  formatName: string;
  target: Target;
  cursor: Cursor;
  now: () => number;
  random: () => number;
  /** How long a receiver may take nothing before that is on record. */
  stallMs?: number;
  /** How long more is waited for where little has come. */
  lingerMs?: number;
  tickMs?: number;
  wait?: typeof waitMs;
  onFailure?: (error: unknown) => void;
};

const defaults = { stallMs: 60_000, lingerMs: 200, tickMs: 1_000, wait: waitMs };
/** Behind by more than this is told as such. */
const nearby = 1_000;
const endMs = 2_000;

type Tick = 'tick';

/**
 * Reads the log by position and hands it over, in order, at least once. Nothing waits for it: what it
 * has not read yet lies in the log, and what it holds is one batch. It stands on disk where it goes
 * on, so a receiver that is gone for days costs nothing but lag.
 */
export class Forwarder {
  readonly #options: ForwarderOptions & typeof defaults;
  readonly #stop = new AbortController();
  /** Looked at, whether it was sent or not; and that which is there on the receiver's word. */
  #position: number;
  #positionHash: string;
  #confirmed: number;
  #hashes = new Map<number, string>();
  #held: { batch: Batch; hash: string } | undefined;
  #recordsMax: number;
  #sent = 0;
  #failures = 0;
  #failingSince: number | undefined;
  #error: string | undefined;
  #isStalled = false;
  #lookedAt = 0;
  #running: Promise<void> | undefined;

  constructor(options: ForwarderOptions) {
    this.#options = { ...defaults, ...options };
    const { next, hash } = options.cursor.place;
    this.#position = next;
    this.#positionHash = hash;
    this.#confirmed = next;
    this.#recordsMax = options.recordsMax;
  }

  /** The first record that nobody said is there. */
  get confirmed(): number {
    return this.#confirmed;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** What is there to be handed over gets so long; what is not, the next daemon goes on with. */
  async close(drainMs = 0): Promise<void> {
    const { log, target, now } = this.#options;
    const until = now() + drainMs;
    while (this.#confirmed < log.size && this.#failures === 0 && now() < until) {
      await sleep(Math.min(20, drainMs));
    }
    this.#stop.abort();
    // A disk that hangs holds nobody up: what it was given comes again.
    await Promise.race([this.#running, sleep(endMs, undefined, { ref: false })]);
    await target.close().catch(() => undefined);
    await this.#settle().catch(() => undefined);
    await this.#save().catch(() => undefined);
  }

  get name(): string {
    return this.#options.name;
  }

  async status(): Promise<ForwarderStatus> {
    const { log, name, to, formatName, now } = this.#options;
    const next = this.#confirmed;
    const lag = Math.max(0, log.size - next);
    let oldest: number | undefined;
    try {
      for await (const { record } of log.read({ from: next, to: next + 1 })) {
        oldest = Date.parse(record.ts);
      }
    } catch {
      // What cannot be read is told by the forwarder itself.
    }
    return {
      name,
      to,
      format: formatName,
      state: this.#isStalled
        ? 'stalled'
        : this.#failures > 0
          ? 'failing'
          : lag > nearby
            ? 'behind'
            : 'current',
      next_seq: next,
      lag,
      lag_ms: oldest === undefined ? 0 : Math.max(0, now() - oldest),
      sent: this.#sent,
      ...(this.#failingSince === undefined ? {} : { failing_ms: now() - this.#failingSince }),
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#session();
        // The log was closed.
        return;
      } catch (error) {
        if (signal.aborted || this.#options.log.blocked !== undefined) return;
        await this.#failed(error);
      }
    }
  }

  /** From the last settled record on, until something goes wrong. */
  async #session(): Promise<void> {
    const { log } = this.#options;
    if (this.#held) await this.#deliver(this.#held.batch, this.#held.hash);
    else this.#rewind();
    const over = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, over.signal]);
    const lines = log.follow({ from: this.#position, signal });
    let coming = lines.next();
    try {
      for (;;) {
        const found = await this.#nextOrTick(coming);
        await this.#lookAround(found === 'tick');
        if (found === 'tick') continue;
        if (found.done === true) return;
        const gathering = this.#gather(found.value);
        await this.#fill(gathering, lines);
        // While this is on its way the next line may come; it is looked at afterwards.
        coming = lines.next();
        this.#position = gathering.to;
        this.#positionHash = gathering.hash;
        if (!gathering.isEmpty) await this.#deliver(gathering.batch(), gathering.hash);
        else if (!this.#isOnItsWay()) this.#confirm(gathering.to, gathering.hash);
      }
    } finally {
      over.abort();
      await coming.catch(() => undefined);
      await lines.return();
    }
  }

  async #nextOrTick(
    coming: Promise<IteratorResult<LogLine, void>>,
  ): Promise<IteratorResult<LogLine, void> | Tick> {
    const { cursor, tickMs } = this.#options;
    const isIdle = !this.#isOnItsWay() && cursor.place.next === this.#confirmed;
    if (isIdle) return coming;
    const timer = new AbortController();
    const tick = sleep<Tick>(tickMs, 'tick', { signal: timer.signal, ref: false });
    tick.catch(() => undefined);
    return Promise.race([coming, tick]).finally(() => timer.abort());
  }

  /** Now and then, however much comes. */
  async #lookAround(isTick: boolean): Promise<void> {
    const { now, tickMs } = this.#options;
    const at = now();
    if (!isTick && at - this.#lookedAt < tickMs) return;
    this.#lookedAt = at;
    await this.#settle();
    await this.#save();
  }

  #gather(first: LogLine): Gathering {
    const { fits, format, about, cursor } = this.#options;
    // Of a batch that an earlier daemon was handing over; those that came since have their own.
    const end = cursor.place.upto ?? 0;
    const upto = end > this.#position ? end : undefined;
    const recordsMax = this.#recordsMax;
    const limits = { recordsMax, upto, fits, format, about };
    const gathering = new Gathering(this.#position, this.#positionHash, limits);
    gathering.add(first);
    return gathering;
  }

  /** Only what is there already, so that none is held back for one that may never come. */
  async #fill(gathering: Gathering, lines: AsyncGenerator<LogLine, void>): Promise<void> {
    const { log, lingerMs } = this.#options;
    const { signal } = this.#stop;
    let isPatient = lingerMs > 0 && !gathering.isEmpty;
    while (!gathering.isFull) {
      if (gathering.to >= log.size) {
        if (!isPatient) return;
        isPatient = false;
        await sleep(lingerMs, undefined, { signal, ref: false }).catch(() => undefined);
        continue;
      }
      const { done, value } = await lines.next();
      if (done === true) return;
      gathering.add(value);
    }
  }

  async #deliver(batch: Batch, hash: string): Promise<void> {
    const { target, cursor } = this.#options;
    const hasReceipts = target.settled === undefined;
    if (hasReceipts) {
      // On disk before it goes, so that a daemon that dies in between sends the very same again.
      this.#held = { batch, hash };
      const { next, hash: before } = this.#placeAt(batch.from);
      if (cursor.place.upto !== batch.to || cursor.place.next !== next) {
        await cursor.save({ next, hash: before, upto: batch.to });
      }
    }
    await target.send(batch, this.#stop.signal);
    this.#held = undefined;
    this.#sent += batch.texts.length;
    this.#position = batch.to;
    this.#positionHash = hash;
    if (hasReceipts) this.#confirm(batch.to, hash);
    else this.#hashes.set(batch.to, hash);
    if (hasReceipts) await this.#succeeded();
  }

  #placeAt(from: number): { next: number; hash: string } {
    const { place } = this.#options.cursor;
    if (place.next === from) return place;
    const hash = this.#hashes.get(from);
    if (hash === undefined) throw new OrchestraError('internal.bug', `no hash before ${from}`);
    return { next: from, hash };
  }

  /** What a receiver without receipts has by now. */
  async #settle(): Promise<void> {
    const to = this.#options.target.settled?.();
    if (to === undefined || to <= this.#confirmed) return;
    const hash = this.#hashes.get(to);
    if (hash === undefined) return;
    this.#confirm(to, hash);
    await this.#succeeded();
  }

  #isOnItsWay(): boolean {
    return (
      this.#options.target.settled !== undefined &&
      this.#position > this.#confirmed &&
      this.#hasSent()
    );
  }

  #hasSent(): boolean {
    for (const to of this.#hashes.keys()) if (to > this.#confirmed) return true;
    return false;
  }

  #confirm(to: number, hash: string): void {
    this.#confirmed = to;
    for (const known of this.#hashes.keys()) if (known <= to) this.#hashes.delete(known);
    this.#hashes.set(to, hash);
    // What came after it and was not for this receiver counts as well.
    if (this.#hasSent() || this.#position === to) return;
    this.#confirmed = this.#position;
    this.#hashes.set(this.#position, this.#positionHash);
  }

  #rewind(): void {
    const hash = this.#hashes.get(this.#confirmed) ?? this.#options.cursor.place.hash;
    this.#hashes = new Map([[this.#confirmed, hash]]);
    this.#position = this.#confirmed;
    this.#positionHash = hash;
  }

  async #save(): Promise<void> {
    const { cursor } = this.#options;
    // Where nothing came in between, the end of a batch that was being handed over stays there.
    if (cursor.place.next === this.#confirmed) return;
    const hash = this.#hashes.get(this.#confirmed);
    if (hash !== undefined) await cursor.save({ next: this.#confirmed, hash });
  }

  async #succeeded(): Promise<void> {
    const { log, name, now } = this.#options;
    const since = this.#failingSince;
    this.#failures = 0;
    this.#failingSince = undefined;
    this.#error = undefined;
    if (!this.#isStalled) return;
    this.#isStalled = false;
    await log.append({
      type: 'forward.resumed',
      sev: 'notice',
      data: {
        forwarder: name,
        next_seq: this.#confirmed,
        stalled_ms: Math.max(0, Math.round(now() - (since ?? now()))),
      },
    });
  }

  async #failed(error: unknown): Promise<void> {
    const { name, to, log, now, random, stallMs, wait, onFailure } = this.#options;
    const { signal } = this.#stop;
    if (this.#failures === 0) onFailure?.(error);
    this.#failures += 1;
    this.#failingSince ??= now();
    this.#error = wordsOf(error);
    const refusal = error instanceof Refusal ? error : undefined;
    if (refusal?.isTooLarge === true && this.#held && this.#held.batch.texts.length > 1) {
      this.#recordsMax = Math.max(1, Math.floor(this.#held.batch.texts.length / 2));
      await this.#forgetHeld();
    }
    const failing = now() - this.#failingSince;
    if (failing >= stallMs && !this.#isStalled) {
      this.#isStalled = true;
      const data = {
        forwarder: name,
        to: cutText(to, 256),
        next_seq: this.#confirmed,
        failing_ms: Math.max(0, Math.round(failing)),
        reason: cutText(this.#error, 256),
      };
      const told = log.append({ type: 'forward.stalled', sev: 'warn', outcome: 'failed', data });
      await told.catch(() => undefined);
    }
    const ms = wait(this.#failures, { asked: refusal?.retryAfterMs, random });
    await sleep(ms, undefined, { signal, ref: false }).catch(() => undefined);
  }

  /** The receiver takes less at once: other batches, under keys of their own. */
  async #forgetHeld(): Promise<void> {
    const { cursor } = this.#options;
    this.#held = undefined;
    const { next, hash } = cursor.place;
    await cursor.save({ next, hash }).catch(() => undefined);
  }
}

/** What went wrong, on one line; what a receiver said is never part of it. */
function wordsOf(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string };
  const said = typeof message === 'string' && message !== '' ? message : 'it failed';
  const known = code === undefined || said.includes(code) ? said : `${said} (${code})`;
  return cutText(visible(known), 256);
}
