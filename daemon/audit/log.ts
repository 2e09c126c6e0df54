import { chmod, mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { AnyRecord, RecordOf, RecordType } from '#contract/records.ts';
import { zeroHash } from '#verifier/limits.ts';
import { systemClock, type Clock } from '../base/clock.ts';
import { deepFreeze } from '../base/freeze.ts';
import { Catalog, Recent } from './catalog.ts';
import { nodeDisk, type LogDisk } from './disk.ts';
import { HeadsFile } from './heads.ts';
import { lockLog } from './lock.ts';
import { readSegments } from './reader.ts';
import { recoverLog, type Recovered } from './recovery.ts';
import { Room } from './room.ts';
import type { TreeOpening } from './tree/types.ts';
import type { AnyEntry, Entry, FollowOptions, Log, LogHead, LogLine, LogRange } from './types.ts';
import { Wakeup } from './wakeup.ts';
import { Writer, type RunTip, type WriterOptions } from './writer.ts';

export type LogOptions = {
  /** The log's own folder; made if it is not there, mode 0700. */
  dir: string;
  version: string;
  /** Who keeps this log; written into the first record. An existing log keeps its own. */
  origin: string;
  /**
   * The fold: every record there ever was, once and in order. Those on disk while the log opens,
   * new ones once they are durable. If it throws, the log blocks: memory and log would differ.
   */
  onRecord?: ((record: AnyRecord) => void) | undefined;
  clock?: Clock | undefined;
  disk?: LogDisk | undefined;
  segmentBytes?: number | undefined;
  segmentMs?: number | undefined;
  lowWaterBytes?: number | undefined;
  reserveBytes?: number | undefined;
  freeBytes?: ((dir: string) => Promise<number>) | undefined;
  /** The Merkle tree over the records: grows as they become durable. */
  tree?: TreeOpening | undefined;
  /** What a signer knows of: more records than are there are a loss. */
  signedSize?: number | undefined;
  /** Called when all was read and before anything is written. If it throws, the log does not open. */
  check?: ((found: { origin: string }) => Promise<void>) | undefined;
  /** Called after each batch of records became durable. */
  onBatch?: ((facts: { closedRun: boolean; rotated: boolean }) => void) | undefined;
  /** Records that may wait for the disk before `daemon.busy`. */
  pendingMax?: number | undefined;
  /** How long the disk may take for one write before the log blocks. */
  stallMs?: number | undefined;
};

const MiB = 1024 * 1024;

/**
 * Takes the lock, checks every record there is, mends a torn last line and begins a new log where
 * there is none. Throws `audit.locked`, `audit.broken` or `audit.rolled_back`.
 */
export function openLog(options: LogOptions): Promise<Log> {
  return open(options, undefined);
}

/**
 * For a log that refuses to open because records are gone for good: leaves a record of the loss
 * that every later verification prints. A log that lost nothing is left as it is.
 */
export async function acknowledgeLoss(options: LogOptions, reason: string): Promise<void> {
  const log = await open(options, reason);
  await log.close();
}

async function open(options: LogOptions, acceptLoss: string | undefined): Promise<Log> {
  const { dir } = options;
  for (const folder of [dir, join(dir, 'segments'), join(dir, 'quarantine')]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
  }
  const lock = lockLog(dir);
  try {
    const room = new Room(dir, {
      lowWaterBytes: options.lowWaterBytes ?? 256 * MiB,
      reserveBytes: options.reserveBytes ?? 16 * MiB,
      freeBytes: options.freeBytes,
    });
    // Whatever ended the last process, the closing records of its runs come first.
    await room.watch();
    const catalog = new Catalog();
    const onRecord = options.onRecord ?? (() => {});
    const { tree, signedSize } = options;
    const recovered = await recoverLog({ dir, catalog, onRecord, acceptLoss, tree, signedSize });
    await options.check?.({ origin: recovered.origin ?? options.origin });
    const heads = await HeadsFile.open(dir);
    const log = new OpenLog({ options, lock, room, catalog, heads, recovered });
    await log.begin(recovered);
    return log;
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

type Parts = {
  options: LogOptions;
  lock: Disposable;
  room: Room;
  catalog: Catalog;
  heads: HeadsFile;
  recovered: Recovered;
};

class OpenLog implements Log {
  readonly origin: string;
  private readonly parts: Parts;
  private readonly recent = new Recent();
  private readonly wakeup = new Wakeup();
  private readonly listeners = new Set<(error: OrchestraError) => void>();
  private writer: Writer | undefined;
  private durable: LogHead;
  private failure: OrchestraError | undefined;
  private closing: Promise<void> | undefined;
  private unwatchedBytes = 0;

  constructor(parts: Parts) {
    this.parts = parts;
    const { chain } = parts.recovered.scan;
    this.origin = parts.recovered.origin ?? parts.options.origin;
    this.durable = { size: chain.seq, hash: chain.seq === 0 ? zeroHash : chain.head };
  }

  get size(): number {
    return this.durable.size;
  }

  get first(): number {
    return this.parts.catalog.first;
  }

  get segments(): readonly number[] {
    return this.parts.catalog.segments;
  }

  get head(): LogHead {
    return this.durable;
  }

  get blocked(): OrchestraError | undefined {
    return this.failure;
  }

  /** Continues the newest segment, or begins one, and writes what recovery has to say. */
  async begin({ scan, openedAt, entries }: Recovered): Promise<void> {
    const { options } = this.parts;
    const { chain } = scan;
    const last = scan.segments.at(-1);
    const bytes = scan.tail?.offset ?? last?.bytes ?? 0;
    const goesOn = last !== undefined && bytes > 0 && !chain.isSealed;
    const disk = options.disk ?? nodeDisk;
    this.writer = new Writer(this.writerOptions(disk), {
      head: this.durable,
      runs: chain.runs,
      stamp: chain.stamp,
      segment: goesOn ? { first: last.first, bytes, openedAt } : undefined,
      file: goesOn ? await disk.open(last.path) : undefined,
    });
    const first: AnyEntry[] = [];
    if (chain.seq === 0) {
      const host = hostname().slice(0, 256);
      const { version } = options;
      first.push({ type: 'log.genesis', data: { origin: this.origin, format: 1, version, host } });
    }
    await this.appendAll([...first, ...entries]);
    await this.saveHead();
    await this.parts.room.reserve();
  }

  async append<T extends RecordType>(entry: Entry<T>): Promise<RecordOf<T>> {
    const [record] = await this.appendAll([entry as unknown as AnyEntry]);
    return record as unknown as RecordOf<T>;
  }

  async appendAll(entries: readonly AnyEntry[]): Promise<AnyRecord[]> {
    if (this.closing !== undefined || this.writer === undefined) {
      throw new OrchestraError('audit.unavailable', 'The log is closed');
    }
    return this.writer.append(entries);
  }

  async *read(range: LogRange = {}): AsyncGenerator<LogLine, void, undefined> {
    const { dir } = this.parts.options;
    const { run, type } = range;
    const head = this.durable;
    let from = Math.max(this.first, range.from ?? 0);
    let to = Math.min(range.to ?? head.size, head.size);
    if (run !== undefined) {
      const span = this.parts.catalog.runs.get(run);
      if (span === undefined) return;
      from = Math.max(from, span.first);
      to = Math.min(to, span.last + 1);
    }
    try {
      for await (const line of readSegments(dir, this.parts.catalog, { from, to }, head)) {
        if (run !== undefined && line.record.run !== run) continue;
        if (type !== undefined && line.record.type !== type) continue;
        yield line;
      }
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT' || from >= this.first) throw cause;
      throw new OrchestraError('record.unknown', 'Records were pruned while they were read', {
        hint: `ask again: the log begins at record ${this.first} now`,
        cause,
      });
    }
  }

  async *follow(options: FollowOptions = {}): AsyncGenerator<LogLine, void, undefined> {
    const { run, signal } = options;
    let next = Math.max(0, options.from ?? 0);
    const stopped = () => signal?.aborted === true;
    while (!stopped()) {
      const { size } = this.durable;
      next = Math.max(next, this.first);
      if (next < size) {
        // Close at hand or back on the disk; never a queue that the writer would have to fill.
        const lines = this.recent.from(next) ?? this.read({ from: next, to: size, run });
        const upTo = Array.isArray(lines) ? next + lines.length : size;
        for await (const line of lines) {
          if (stopped()) return;
          if (run === undefined || line.record.run === run) yield line;
        }
        next = upTo;
        continue;
      }
      if (this.failure !== undefined) throw this.failure;
      if (this.closing !== undefined && this.writer === undefined) return;
      await this.wakeup.wait(signal);
    }
  }

  runState(run: string): { records: number; closed: boolean } | undefined {
    const span = this.parts.catalog.runs.get(run);
    return span && { records: span.records, closed: span.closed };
  }

  runTip(run: string): RunTip | undefined {
    return this.parts.recovered.scan.chain.runs.get(run);
  }

  openRuns(): string[] {
    const { runs } = this.parts.catalog;
    return [...runs].filter(([, span]) => !span.closed).map(([run]) => run);
  }

  assertRoom(): Promise<void> {
    return this.parts.room.assert();
  }

  async saveHead(): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    try {
      await this.parts.heads.save(this.durable);
    } catch (cause) {
      const message = 'The size of the log could not be noted in heads.jsonl';
      const failure = new OrchestraError('audit.unavailable', message, { cause });
      this.writer?.fail(failure);
      throw failure;
    }
  }

  refuse(error: OrchestraError): void {
    this.writer?.fail(error);
  }

  onBlocked(listener: (error: OrchestraError) => void): () => void {
    if (this.failure !== undefined) listener(this.failure);
    else this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  close(): Promise<void> {
    this.closing ??= this.finish();
    return this.closing;
  }

  private async finish(): Promise<void> {
    try {
      await this.writer?.settle();
      if (this.failure === undefined) await this.saveHead();
      await this.writer?.close();
      await this.parts.heads.close();
    } finally {
      this.writer = undefined;
      this.parts.lock[Symbol.dispose]();
      this.wakeup.wake();
    }
  }

  private writerOptions(disk: LogDisk): WriterOptions {
    const { options, catalog } = this.parts;
    const onRecord = options.onRecord ?? (() => {});
    return {
      dir: options.dir,
      disk,
      clock: options.clock ?? systemClock(),
      segmentBytes: options.segmentBytes ?? 64 * MiB,
      segmentMs: options.segmentMs ?? 24 * 60 * 60 * 1000,
      pendingMax: options.pendingMax ?? 65_536,
      stallMs: options.stallMs ?? 30_000,
      onDurable: (line) => {
        deepFreeze(line.record);
        catalog.add(line.record, line.segment, line.offset);
        this.recent.push(line);
        this.durable = { size: line.record.seq + 1, hash: line.hash };
        options.tree?.add(line.hash);
        onRecord(line.record as AnyRecord);
      },
      onPruned: (to) => this.forgetRuns(to),
      onBatch: (facts) => this.afterBatch(facts),
      onFailure: (error) => this.block(error),
    };
  }

  // In the tick in which the record got its number: what is said of such a run from then on begins
  // anew. Not where something of it is on its way to the disk: its end is not known to be gone.
  private forgetRuns(to: number): void {
    const { catalog, recovered } = this.parts;
    const { runs } = recovered.scan.chain;
    for (const [run, { last, records }] of catalog.runs) {
      if (last < to && runs.get(run)?.records === records) runs.delete(run);
    }
  }

  private afterBatch(facts: { bytes: number; rotated: boolean; closedRun: boolean }): void {
    this.wakeup.wake();
    this.parts.options.onBatch?.(facts);
    // A failure of either blocks the log by itself; nobody waits here.
    if (facts.rotated || facts.closedRun) this.saveHead().catch(() => {});
    this.unwatchedBytes += facts.bytes;
    if (this.unwatchedBytes < MiB) return;
    this.unwatchedBytes = 0;
    this.parts.room.watch().catch(() => {});
    // So that little is left to be checked by all the rules where a long run is cut short.
    this.saveHead().catch(() => {});
  }

  private block(error: OrchestraError): void {
    this.failure ??= error;
    this.wakeup.wake();
    const { listeners } = this;
    for (const listener of listeners) listener(this.failure);
    listeners.clear();
  }
}
