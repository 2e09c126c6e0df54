import { hash } from 'node:crypto';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { AnyRecord } from '#contract/records.ts';
import { jumpBetween, type Stamp } from '#verifier/clock.ts';
import { zeroHash } from '#verifier/limits.ts';
import { segmentName } from '#verifier/segments.ts';
import type { Clock } from '../base/clock.ts';
import { within } from '../base/deadline.ts';
import type { LogDisk, LogFile } from './disk.ts';
import { draftOf, type Draft } from './draft.ts';
import type { AnyEntry, LogHead, LogLine } from './types.ts';

/** What the log is right after recovery: where the writer goes on. */
export type WriterStart = {
  head: LogHead;
  runs: Map<string, RunTip>;
  stamp: Stamp | undefined;
  /** The segment to continue, undefined where the next record opens a new one. */
  segment: { first: number; bytes: number; openedAt: number } | undefined;
  file: LogFile | undefined;
};

export type RunTip = { records: number; last: string; closed: boolean };

export type WriterOptions = {
  dir: string;
  disk: LogDisk;
  clock: Clock;
  segmentBytes: number;
  segmentMs: number;
  pendingMax: number;
  /** How long one write with its sync may take before the disk counts as gone. */
  stallMs: number;
  /** Called in the tick in which a `log.pruned` gets its number. */
  onPruned: (to: number) => void;
  /** Called for each durable record in order, before its promise resolves. */
  onDurable: (line: LogLine) => void;
  /** Called after a batch became durable and was handed out. */
  onBatch: (facts: { bytes: number; rotated: boolean; closedRun: boolean }) => void;
  onFailure: (error: OrchestraError) => void;
};

type Group = {
  lines: LogLine[];
  resolve: (records: AnyRecord[]) => void;
  reject: (error: unknown) => void;
};

const batchBytesMax = 4 * 1024 * 1024;
const pendingBytesMax = 64 * 1024 * 1024;

/**
 * Gives records their place and makes them durable.
 *
 * Number, chain and place in the file are assigned in the tick of the call, so the order of the
 * calls is the order of the log. One write and one fdatasync are in flight at a time; what comes
 * meanwhile goes together into the next. The assigned head runs ahead of the disk: that is safe
 * only because the first failure ends the writer for good.
 */
export class Writer {
  private readonly options: WriterOptions;
  private readonly runs: Map<string, RunTip>;
  private seq: number;
  private head: string;
  private stamp: Stamp | undefined;
  private boot: string;
  private segment: { first: number; bytes: number; openedAt: number } | undefined;

  private file: LogFile | undefined;
  private fileFirst: number;
  private queue: Group[] = [];
  private pending = 0;
  private pendingBytes = 0;
  private flushing: Promise<void> | undefined;
  private failure: OrchestraError | undefined;

  constructor(options: WriterOptions, start: WriterStart) {
    this.options = options;
    this.runs = start.runs;
    this.seq = start.head.size;
    this.head = start.head.hash;
    this.stamp = start.stamp;
    this.segment = start.segment;
    this.file = start.file;
    this.fileFirst = start.segment?.first ?? -1;
    // A machine that was put back to an earlier state has the same boot and less time behind it.
    const { boot, mono } = { boot: options.clock.boot, mono: options.clock.mono() };
    const goesBack = start.stamp?.boot === boot && mono < start.stamp.mono;
    this.boot = goesBack ? `${boot.slice(0, 40)}-${start.head.size}` : boot;
  }

  append(entries: readonly AnyEntry[]): Promise<AnyRecord[]> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const { pendingMax } = this.options;
    if (this.pending + entries.length > pendingMax || this.pendingBytes > pendingBytesMax) {
      return Promise.reject(
        new OrchestraError('daemon.busy', 'Too many records wait for the disk'),
      );
    }
    let drafts: Draft[];
    try {
      drafts = entries.map((entry) => draftOf(entry));
      this.refuseSecondClose(entries);
    } catch (error) {
      return Promise.reject(error);
    }
    if (drafts.length === 0) return Promise.resolve([]);
    const now = this.now();
    this.prepare(now);
    return this.enqueue(drafts, now);
  }

  /** Resolves once nothing is in flight. */
  async settle(): Promise<void> {
    while (this.flushing !== undefined) await this.flushing;
  }

  async close(): Promise<void> {
    await this.settle();
    await this.file?.close();
    this.file = undefined;
  }

  /** Ends the writer for good: everything that waits and everything to come is rejected. */
  fail(error: OrchestraError): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    const groups = this.queue;
    this.queue = [];
    for (const group of groups) group.reject(error);
    this.options.onFailure(error);
  }

  private refuseSecondClose(entries: readonly AnyEntry[]): void {
    const closing = new Set<string | undefined>();
    for (const { type, run } of entries) {
      if (type !== 'run.closed') continue;
      if (closing.has(run) || this.runs.get(run ?? '')?.closed === true) {
        throw new OrchestraError('internal.bug', `Run ${run ?? ''} is closed already`);
      }
      closing.add(run);
    }
  }

  private now(): Stamp {
    const { clock } = this.options;
    // Two reads of the clock that the kernel orders differently must not look like a step back.
    const mono = Math.max(clock.mono(), this.stamp?.boot === this.boot ? this.stamp.mono : 0);
    return { ts: clock.now(), mono, boot: this.boot };
  }

  // The log's own records that have to stand before the next one.
  private prepare(now: Stamp): void {
    const jump = this.stamp === undefined ? 0 : jumpBetween(this.stamp, now);
    const full =
      this.segment !== undefined &&
      (this.segment.bytes >= this.options.segmentBytes ||
        now.ts - this.segment.openedAt >= this.options.segmentMs);
    if (this.segment !== undefined && jump !== 0) this.own(this.jumpEntry(now, jump), now);
    if (this.segment !== undefined && full) {
      const { first, bytes } = this.segment;
      const data = { first_seq: first, records: this.seq - first + 1, bytes };
      this.own({ type: 'log.segment.closed', data }, now);
      this.segment = undefined;
    }
    if (this.segment !== undefined) return;
    this.segment = { first: this.seq, bytes: 0, openedAt: now.ts };
    if (this.seq === 0) return;
    const data = { first_seq: this.seq, previous: this.head, previous_size: this.seq };
    this.own({ type: 'log.segment.opened', data }, now);
    const since = this.stamp === undefined ? 0 : jumpBetween(this.stamp, now);
    if (since !== 0) this.own(this.jumpEntry(now, since), now);
  }

  private jumpEntry(now: Stamp, jump: number): AnyEntry {
    const from = isoOf(this.stamp?.ts ?? now.ts);
    return {
      type: 'clock.jump',
      sev: 'notice',
      data: { from, to: isoOf(now.ts), jump_ms: jump },
    };
  }

  private own(entry: AnyEntry, now: Stamp): void {
    // A failure reaches whoever asked for the record behind it.
    this.enqueue([draftOf(entry)], now).catch(() => {});
  }

  private enqueue(drafts: readonly Draft[], now: Stamp): Promise<AnyRecord[]> {
    const lines = drafts.map((draft) => this.assign(draft, now));
    this.pending += lines.length;
    for (const line of lines) this.pendingBytes += line.length;
    return new Promise((resolve, reject) => {
      this.queue.push({ lines, resolve, reject });
      // Not at once: whoever appends in the same turn shares the first write.
      this.flushing ??= Promise.resolve().then(() => this.flush());
    });
  }

  private assign({ record }: Draft, now: Stamp): LogLine {
    const segment = this.segment;
    if (segment === undefined) throw new OrchestraError('internal.bug', 'No segment is open');
    record.boot = now.boot;
    record.mono = now.mono;
    record.ts = isoOf(now.ts);
    record.seq = this.seq;
    record.prev = this.head;
    let tip: RunTip | undefined;
    if (record.run !== undefined) {
      tip = this.runs.get(record.run);
      if (tip === undefined) {
        tip = { records: 0, last: zeroHash, closed: false };
        this.runs.set(record.run, tip);
      }
      record.rseq = tip.records;
      record.rprev = tip.last;
      tip.records += 1;
      if (record.type === 'run.closed') {
        record.data.records = tip.records;
        tip.closed = true;
      }
    }
    const line = JSON.stringify(record);
    const leaf = hash('sha256', `\0${line}`, 'hex');
    const length = Buffer.byteLength(line);
    const placed = {
      record,
      line,
      hash: leaf,
      segment: segment.first,
      offset: segment.bytes,
      length,
    };
    if (tip !== undefined) tip.last = leaf;
    if (record.type === 'log.pruned') this.options.onPruned(record.data.to_seq);
    if (this.stamp === undefined || record.type !== 'log.segment.opened') this.stamp = now;
    this.seq += 1;
    this.head = leaf;
    segment.bytes += length + 1;
    return placed;
  }

  private async flush(): Promise<void> {
    try {
      while (this.queue.length > 0) {
        const groups = this.takeBatch();
        try {
          await this.flushBatch(groups);
        } catch (cause) {
          const error = this.failure ?? unavailable(cause);
          for (const group of groups) group.reject(error);
          this.fail(error);
        }
      }
    } finally {
      this.flushing = undefined;
    }
  }

  private async flushBatch(groups: readonly Group[]): Promise<void> {
    const first = groups[0]?.lines[0]?.segment ?? 0;
    let text = '';
    for (const { lines } of groups) for (const { line } of lines) text += `${line}\n`;
    const bytes = Buffer.from(text);
    const rotated = first !== this.fileFirst;
    const work = rotated ? this.rotate(first).then(() => this.write(bytes)) : this.write(bytes);
    // Whether a disk that hangs will ever have taken the bytes, nobody can say: it is like an error.
    await within(work, this.options.stallMs, () => new Error('the disk hangs'));
    if (this.failure !== undefined) throw this.failure;
    this.deliver(groups, { bytes: bytes.length, rotated });
  }

  private async write(bytes: Buffer): Promise<void> {
    const { file } = this;
    if (file === undefined) throw new Error('the segment is not open');
    await file.append(bytes);
    await file.datasync();
  }

  // Whole groups of one segment, so that what was appended together becomes durable together.
  private takeBatch(): Group[] {
    const groups: Group[] = [];
    const segment = this.queue[0]?.lines[0]?.segment;
    let bytes = 0;
    for (const group of this.queue) {
      if (group.lines[0]?.segment !== segment || bytes > batchBytesMax) break;
      for (const line of group.lines) bytes += line.length;
      this.pending -= group.lines.length;
      groups.push(group);
    }
    this.pendingBytes -= bytes;
    this.queue = groups.length === this.queue.length ? [] : this.queue.slice(groups.length);
    return groups;
  }

  private async rotate(first: number): Promise<void> {
    await this.file?.seal();
    await this.file?.close();
    this.file = await this.options.disk.create(
      join(this.options.dir, 'segments', segmentName(first)),
    );
    this.fileFirst = first;
  }

  private deliver(groups: readonly Group[], facts: { bytes: number; rotated: boolean }): void {
    let closedRun = false;
    for (const { lines } of groups) {
      for (const line of lines) {
        closedRun ||= line.record.type === 'run.closed';
        this.options.onDurable(line);
      }
    }
    for (const group of groups) group.resolve(group.lines.map((line) => line.record as AnyRecord));
    this.options.onBatch({ ...facts, closedRun });
  }
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}

function unavailable(cause: unknown): OrchestraError {
  const message = 'A record could not be made durable; nothing more is written';
  const hint = 'see the daemon log for the cause, then start it again';
  return new OrchestraError('audit.unavailable', message, { hint, cause });
}
