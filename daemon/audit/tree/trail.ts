import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import type { Actor, AnyRecord } from '#contract/records.ts';
import type { SignerState } from '#signer/protocol.ts';
import {
  parseSignedCheckpoint,
  spellProof,
  type SignedCheckpoint,
} from '#verifier/tlog/checkpoint.ts';
import { parseVkey, signedBy, spellNote, type NoteSignature } from '#verifier/tlog/note.ts';
import type { Clock } from '../../base/clock.ts';
import { failpoint } from '../../base/failpoints.ts';
import type { Log } from '../types.ts';
import { CheckpointFile, newestOf } from './checkpoint-file.ts';
import { GrowingTree } from './growing-tree.ts';
import { LogKeys } from './keys.ts';
import { noSigner, SignerRefused, type SignerPort } from './signer-port.ts';
import { judge } from './standing.ts';
import { TileFiles } from './tile-files.ts';
import type { Checkpoints, EpochKey } from './types.ts';

export type TrailTimes = {
  /** So many records that are not signed yet, or none for so long, and they are signed. */
  records: number;
  waitMs: number;
  /** Between two signatures that nobody waits for. */
  pauseMs: number;
  /** After so long without a record one says that there was none. */
  heartbeatMs: number;
  /** How long a key signs. */
  epochMs: number;
  /** For so long records may be unsigned before no new run is taken. */
  unsignedMaxMs: number;
  /** How long the start waits for a signer that does not answer. */
  meetMs: number;
};

export type TrailOptions = {
  /** The folder of the log. */
  dir: string;
  signer: SignerPort;
  clock: Clock;
  /** For people: the daemon's own log. */
  onTrouble?: (what: string, error: unknown) => void;
  times?: Partial<TrailTimes> | undefined;
};

/** What a batch of durable records brought. */
export type Grown = { closedRun: boolean; rotated: boolean };

const defaults: TrailTimes = {
  records: 64,
  waitMs: 10_000,
  pauseMs: 100,
  heartbeatMs: 60 * 60 * 1000,
  epochMs: 24 * 60 * 60 * 1000,
  unsignedMaxMs: 5 * 60 * 1000,
  meetMs: 5_000,
};
const tickMs = 15_000;
const lastWordMs = 3_000;
const remembered = 256;

/**
 * Has the log signed while it grows. Nobody waits for a signature but who asks for one: records go
 * on while the signer is away, for a while, and the next signature covers them all.
 *
 * `tree` and `fold` go to the log that is opened, `check` is called before that log writes anything,
 * `grown` after each batch; `begin` comes next and `close` before the log closes.
 */
export class Trail implements Checkpoints {
  readonly tree: GrowingTree;
  readonly #keys = new LogKeys();
  readonly #dir: string;
  readonly #signer: SignerPort;
  readonly #clock: Clock;
  readonly #times: TrailTimes;
  readonly #onTrouble: (what: string, error: unknown) => void;
  readonly #listeners = new Set<(checkpoint: SignedCheckpoint) => void>();
  /** The newest notes by size, for signatures that come later. */
  readonly #recent = new Map<number, SignedCheckpoint>();
  #log: Log | undefined;
  #file: CheckpointFile | undefined;
  #newest: SignedCheckpoint | undefined;
  /** Where the signer stands, once that is known. */
  #signed: number | undefined;
  #witnessKey: string | undefined;
  #trouble: string | undefined;
  #unsignedSince: number | undefined;
  #lastRecordAt = performance.now();
  #turn: Promise<unknown> = Promise.resolve();
  #queued: Promise<SignedCheckpoint> | undefined;
  #timer: { at: number; handle: NodeJS.Timeout } | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor({ dir, signer, clock, onTrouble, times }: TrailOptions) {
    this.#dir = dir;
    this.#signer = signer;
    this.#clock = clock;
    this.#onTrouble = onTrouble ?? (() => {});
    this.#times = { ...defaults, ...times };
    this.tree = new GrowingTree({
      files: new TileFiles(dir),
      onTrouble: (error) => this.#onTrouble('a tile of the log was not kept', error),
    });
  }

  get newest(): SignedCheckpoint | undefined {
    return this.#newest;
  }

  get keys(): readonly EpochKey[] {
    return this.#keys.all;
  }

  get witnessKey(): string | undefined {
    return this.#witnessKey;
  }

  /** What is not in order now, in words; undefined where everything is signed in time. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  get unsigned(): number {
    return this.tree.size - (this.#newest?.size ?? 0);
  }

  fold(record: AnyRecord): void {
    this.#keys.fold(record);
  }

  /** Throws where the log that was just read is not the one that was signed. */
  async check({ origin }: { origin: string }): Promise<void> {
    const { file, notes } = await CheckpointFile.open(this.#dir);
    this.#file = file;
    for (const note of notes) this.#remember(note);
    this.#newest = newestOf(notes);
    if (this.#newest !== undefined) this.#assertOurs(this.#newest);
    try {
      await judge(await this.#patientHello(), { origin, tree: this.tree, keys: this.#keys });
    } catch (error) {
      if (!(error instanceof OrchestraError) || error.code !== 'audit.unsigned') throw error;
      this.#noteTrouble(error);
    }
  }

  /** From now on the log is signed. The first key of a log is on record once this resolves. */
  async begin(log: Log): Promise<void> {
    this.#log = log;
    this.tree.readFrom(async (from, to) =>
      Array.fromAsync(log.read({ from, to }), ({ hash }) => Buffer.from(hash, 'hex')),
    );
    if (this.unsigned > 0) this.#unsignedSince = performance.now();
    await this.#exclusive(() => this.#meet()).catch((error: unknown) => {
      if (this.#keys.newest !== undefined || isAway(error)) return this.#noteTrouble(error);
      throw error;
    });
    this.#wakeIn(this.#times.pauseMs);
    this.#ticker = setInterval(() => void this.tick(), tickMs);
    this.#ticker.unref();
  }

  /** Called after each batch of durable records. */
  grown({ closedRun, rotated }: Grown): void {
    const now = performance.now();
    this.#lastRecordAt = now;
    this.#unsignedSince ??= now;
    if (this.#log === undefined) return;
    const isDue = closedRun || rotated || this.unsigned >= this.#times.records;
    this.#wakeIn(isDue ? 0 : this.#times.waitMs);
  }

  async sign(size = this.tree.size): Promise<SignedCheckpoint> {
    assert(size <= this.tree.size, 'there are so many records');
    const newest = this.#newest;
    if (newest !== undefined && newest.size >= size) return newest;
    return this.#signQueued();
  }

  onSigned(listener: (checkpoint: SignedCheckpoint) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  addSignatures(size: number, lines: readonly NoteSignature[]): Promise<void> {
    return this.#exclusive(async () => {
      const known = this.#recent.get(size);
      if (known === undefined) {
        throw new OrchestraError('record.unknown', `There is no checkpoint of ${size} records`);
      }
      const { text, signatures } = known.note;
      const fresh = lines.filter(
        (line) =>
          !signatures.some(
            ({ name, id, bytes }) =>
              name === line.name && id === line.id && bytes.equals(line.bytes),
          ),
      );
      if (fresh.length === 0) return;
      const note = { text, signatures: [...signatures, ...fresh] };
      await this.#store({ ...known, note }, size >= (this.#newest?.size ?? 0));
    });
  }

  rotate(actor?: Actor): Promise<void> {
    return this.#exclusive(async () => {
      await this.#meet();
      const old = this.#keys.newest;
      assert(old !== undefined, 'a log has a key once its signer was met');
      const { vkey } = await this.#signer.ask({ op: 'prepare', origin: this.#opened.origin });
      await this.#opened.append({
        type: 'key.rotated',
        actor,
        data: { epoch: old.epoch + 1, vkey, previous: old.vkey },
      });
      failpoint('after-key-rotated');
      await this.#finishRotation();
      await this.#signAll();
    });
  }

  /** Throws `audit.unsigned` where records have waited too long for a signature. */
  assertSigned(): void {
    const since = this.#unsignedSince;
    const { unsignedMaxMs } = this.#times;
    if (since === undefined || performance.now() - since <= unsignedMaxMs) return;
    this.#wakeIn(0);
    const minutes = Math.floor((performance.now() - since) / 60_000);
    const message = `${this.unsigned} records wait for a signature, the oldest for ${minutes} minutes`;
    throw new OrchestraError('audit.unsigned', message, {
      hint: `see orchestra doctor; the signer: ${this.#trouble ?? 'has not answered yet'}`,
    });
  }

  /** What is due by the clock: the word that nothing happened, and the next key. */
  async tick(): Promise<void> {
    if (this.#isClosed || this.#log === undefined || this.#log.blocked !== undefined) return;
    try {
      const idle = performance.now() - this.#lastRecordAt;
      if (idle >= this.#times.heartbeatMs) {
        const data = { size: this.#log.size, idle_ms: Math.floor(idle) };
        await this.#log.append({ type: 'log.heartbeat', data });
        await this.sign();
      }
      const keyAt = this.#keys.newestAt;
      if (keyAt === undefined || this.#clock.now() - keyAt < this.#times.epochMs) return;
      await this.rotate();
    } catch (error) {
      this.#noteTrouble(error);
    }
  }

  /** Has what is left signed, where the signer answers soon. Safe to repeat. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#ticker);
    clearTimeout(this.#timer?.handle);
    if (this.#log !== undefined && this.#log.blocked === undefined && this.unsigned > 0) {
      const last = this.#signQueued().catch((error: unknown) => this.#noteTrouble(error));
      await Promise.race([last, sleep(lastWordMs, undefined, { ref: false })]);
    }
    await this.#signer.close();
    await this.#turn;
    await this.tree.settle();
    await this.#file?.close();
    this.#file = undefined;
  }

  get #opened(): Log {
    assert(this.#log !== undefined, 'the log is open');
    return this.#log;
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** Whoever comes before the next signature has begun shares it. */
  #signQueued(): Promise<SignedCheckpoint> {
    this.#queued ??= this.#exclusive(() => {
      this.#queued = undefined;
      return this.#signNow();
    });
    return this.#queued;
  }

  async #signNow(): Promise<SignedCheckpoint> {
    if (this.#signed === undefined) await this.#meet();
    try {
      return await this.#signAll();
    } catch (error) {
      // An answer was lost: it stands elsewhere than it was left.
      if (!(error instanceof SignerRefused) || error.refusal !== 'not_from_last') throw error;
      await this.#meet();
      return this.#signAll();
    }
  }

  async #signAll(): Promise<SignedCheckpoint> {
    const { size, root } = this.tree.now();
    if (this.#newest !== undefined && this.#newest.size === size) return this.#newest;
    const from = this.#signed ?? 0;
    const { note } = await this.#signer.ask({
      op: 'sign',
      origin: this.#opened.origin,
      size,
      root: root.toString('base64'),
      from,
      proof: spellProof(await this.tree.consistency(from, size)),
    });
    return this.#accept(note, { size, root });
  }

  /** Learns where the signer stands, and puts the log and it in step. */
  async #meet(): Promise<void> {
    const log = this.#opened;
    const { origin } = log;
    const facts = { origin, tree: this.tree, keys: this.#keys };
    const found = (await this.#signer.ask({ op: 'hello' })).state;
    const standing = await judge(found, facts);
    const state = found ?? (await this.#signer.ask({ op: 'init', origin })).state;
    this.#signed = state.size;
    this.#witnessKey = state.witness_vkey;
    if (standing === 'unknown' || standing === 'unrecorded') await this.#recordKey(state);
    if (standing === 'rotating') await this.#finishRotation();
    else await this.#takeLastWords(state);
    if (standing !== 'ready') return;
    // Signed and not noted here: a crash came between.
    const { last_note: last, size } = state;
    if (last !== undefined && size > (this.#newest?.size ?? 0)) {
      await this.#accept(last, { size, root: Buffer.from(state.root, 'base64') });
    }
  }

  async #recordKey({ epoch, vkey, lost }: SignerState): Promise<void> {
    const key = { epoch, vkey, ...(lost === undefined ? {} : { lost }) };
    await this.#opened.append({
      type: 'key.created',
      ...(lost === undefined ? {} : { sev: 'alert' }),
      data: key,
    });
  }

  /** The record of the successor is there: the last signature of the old key, and its end. */
  async #finishRotation(): Promise<void> {
    const log = this.#opened;
    const seq = this.#keys.newest?.seq ?? 0;
    const size = seq + 1;
    const [line] = await Array.fromAsync(log.read({ from: seq, to: size }));
    assert(line !== undefined, 'the record of the key is there');
    const root = await this.tree.rootAt(size);
    const from = this.#signed ?? 0;
    const { note } = await this.#signer.ask({
      op: 'rotate',
      origin: log.origin,
      size,
      root: root.toString('base64'),
      from,
      proof: spellProof(await this.tree.consistency(from, size)),
      record: line.line,
      inclusion: spellProof(await this.tree.inclusion(seq, size)),
    });
    await this.#accept(note, { size, root });
    await this.#recordEnd(note);
  }

  /** Where a crash came after the old key was gone: what it signed last is put on record now. */
  async #takeLastWords({ final_note: final }: SignerState): Promise<void> {
    const old = this.#keys.all.at(-2);
    if (final === undefined || old === undefined || old.final !== undefined) return;
    const checkpoint = parseSignedCheckpoint(final);
    if (checkpoint === undefined || this.#keys.for(checkpoint.size)?.vkey !== old.vkey) return;
    if (checkpoint.size > (this.#newest?.size ?? 0)) await this.#accept(final, checkpoint);
    await this.#recordEnd(final);
  }

  async #recordEnd(checkpoint: string): Promise<void> {
    const old = this.#keys.all.at(-2);
    assert(old !== undefined, 'there was a key before');
    const { epoch, vkey } = old;
    await this.#opened.append({ type: 'key.destroyed', data: { epoch, vkey, checkpoint } });
  }

  /** Believes nothing: the note has to be the one that was asked for, by the key on record. */
  async #accept(
    text: string,
    { size, root }: { size: number; root: Buffer },
  ): Promise<SignedCheckpoint> {
    const checkpoint = parseSignedCheckpoint(text);
    if (checkpoint?.size !== size || !checkpoint.root.equals(root)) {
      throw new OrchestraError(
        'audit.broken',
        'The signer signed something else than it was asked',
      );
    }
    this.#assertOurs(checkpoint);
    await this.#store(checkpoint, true);
    failpoint('after-checkpoint-signed');
    this.#signed = size;
    this.#unsignedSince = this.tree.size > size ? performance.now() : undefined;
    this.#trouble = undefined;
    for (const listener of this.#listeners) listener(checkpoint);
    return checkpoint;
  }

  #assertOurs({ origin, size, note }: SignedCheckpoint): void {
    const key = parseVkey(this.#keys.for(size)?.vkey ?? '');
    const isOurs = key !== undefined && key.name === origin && signedBy(note, key).signed;
    if (isOurs) return;
    const message = `The checkpoint of ${size} records is not signed by the key on record`;
    throw new OrchestraError('audit.broken', message, { hint: 'orchestra audit verify' });
  }

  async #store(checkpoint: SignedCheckpoint, isNewest: boolean): Promise<void> {
    assert(this.#file !== undefined, 'the checkpoints are open');
    const text = spellNote(checkpoint.note);
    await this.#file.append(text);
    this.#remember(checkpoint);
    if (!isNewest) return;
    this.#newest = checkpoint;
    await this.#file.publish(text);
  }

  #remember(checkpoint: SignedCheckpoint): void {
    this.#recent.set(checkpoint.size, checkpoint);
    const [oldest = 0] = this.#recent.keys();
    if (this.#recent.size > remembered) this.#recent.delete(oldest);
  }

  /** A signer that has just been started, or whose state the one before still holds. */
  async #patientHello(): Promise<SignerState | undefined> {
    const until = performance.now() + this.#times.meetMs;
    for (;;) {
      try {
        return (await this.#signer.ask({ op: 'hello' })).state;
      } catch (error) {
        if (performance.now() >= until)
          throw isAway(error) ? error : noSigner(String(error), error);
        await sleep(50);
      }
    }
  }

  /** Signs then, or sooner if that was due already. */
  #wakeIn(ms: number): void {
    if (this.#isClosed) return;
    const at = performance.now() + ms;
    if (this.#timer !== undefined) {
      if (this.#timer.at <= at) return;
      clearTimeout(this.#timer.handle);
    }
    const handle = setTimeout(() => void this.#wake(), ms);
    handle.unref();
    this.#timer = { at, handle };
  }

  async #wake(): Promise<void> {
    try {
      if (this.unsigned > 0) await this.#signQueued();
    } catch (error) {
      this.#noteTrouble(error);
    } finally {
      // Whatever asked meanwhile is served by one signature, after a pause.
      this.#timer = undefined;
      const { pauseMs, waitMs, records } = this.#times;
      const isBehind = this.#trouble === undefined && this.unsigned >= records;
      if (this.unsigned > 0) this.#wakeIn(isBehind ? pauseMs : waitMs);
    }
  }

  /** On record once for as long as it lasts: a signer that says no is an alarm. */
  #noteTrouble(error: unknown): void {
    const what = error instanceof Error ? error.message : String(error);
    const isNew = this.#trouble === undefined;
    this.#trouble = what;
    if (!isNew || this.#log === undefined || this.#log.blocked !== undefined) return;
    this.#onTrouble('the log is not signed', error);
    const refused = error instanceof SignerRefused;
    const code = refused ? `signer.${error.refusal}` : 'audit.unsigned';
    this.#log
      .append({
        type: 'daemon.error',
        outcome: 'failed',
        sev: refused ? 'alert' : 'warn',
        data: { code, what: what.slice(0, 1024) },
      })
      .catch(() => {});
  }
}

function isAway(error: unknown): boolean {
  return error instanceof OrchestraError && error.code === 'audit.unsigned';
}
