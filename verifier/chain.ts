import { isUtf8 } from 'node:buffer';
import { hash } from 'node:crypto';
import { whyNotCanonical } from './canonical.ts';
import { jumpBetween, millisOf, type Stamp } from './clock.ts';
import { whyNotRecord, type Envelope } from './envelope.ts';
import { lineBytesMax, zeroHash } from './limits.ts';
import { isSpelledShortest } from './spelled.ts';
import type { Reason } from './verdict.ts';

export type Failure = { reason: Reason; seq: number; detail: string };
export type RunTally = { records: number; last: string; closed: boolean };

/**
 * The rules that tie one line to the lines before it. Feed it every line in order; it stops being
 * of use after its first failure. Recovery and verifier use this one class, so what the one accepts
 * the other accepts.
 */
export class Chain {
  /** Number that the next record has to carry. */
  seq: number;
  /** Hash of the last accepted record. */
  head: string;
  readonly runs = new Map<string, RunTally>();
  /** The last accepted record and its text, valid until the next call. */
  record: Envelope | undefined;
  text = '';

  /** Clocks of the last accepted record. */
  stamp: Stamp | undefined;
  private segment: { first: number; bytes: number } | undefined;
  private sealed = false;
  private readonly partial: boolean;

  /** `partial` starts in the middle: what lies before, and runs that began there, go unchecked. */
  constructor(start: { seq: number; partial: boolean } = { seq: 0, partial: false }) {
    this.seq = start.seq;
    this.partial = start.partial;
    this.head = start.partial ? '' : zeroHash;
  }

  /** True once the last record closed its segment. */
  get isSealed(): boolean {
    return this.sealed;
  }

  beginSegment(first: number): void {
    this.segment = { first, bytes: 0 };
    this.sealed = false;
  }

  /** Overwrites the byte before `start`. */
  accept(buffer: Buffer, start: number, end: number): Failure | undefined {
    const length = end - start;
    if (length > lineBytesMax) return this.fail('oversize', `the line has ${length} bytes`);
    const bytes = buffer.subarray(start, end);
    if (!isUtf8(bytes)) return this.fail('non_canonical', 'the line is not UTF-8');
    const text = bytes.toString('utf8');
    const record = parse(text);
    if (record === undefined) return this.fail('non_canonical', 'the line is not JSON');
    const why = whyNotCanonical(record);
    if (why !== undefined) return this.fail('non_canonical', why);
    if (!isSpelledShortest(record, text) && JSON.stringify(record) !== text) {
      return this.fail('non_canonical', 'written again, the record gives other bytes');
    }
    buffer[start - 1] = 0;
    const leaf = hash('sha256', buffer.subarray(start - 1, end), 'hex');
    return this.link(record, text, leaf, length);
  }

  /**
   * The same for a line that was checked before, where a hash that is known to come later vouches
   * for its bytes: only what ties it to its neighbours is looked at. What this accepts counts for
   * nothing before the chain has met that hash. Overwrites the byte before `start`.
   */
  acceptSeen(buffer: Buffer, start: number, end: number): Failure | undefined {
    const text = buffer.toString('utf8', start, end);
    const record = parse(text) as Envelope | undefined;
    if (typeof record?.data !== 'object' || typeof record.ts !== 'string')
      return this.fail('schema', 'the line is no record');
    buffer[start - 1] = 0;
    const leaf = hash('sha256', buffer.subarray(start - 1, end), 'hex');
    return this.follow(record, text, leaf, end - start);
  }

  private link(value: unknown, text: string, leaf: string, length: number): Failure | undefined {
    const why = whyNotRecord(value);
    if (why !== undefined) return this.fail('schema', why);
    return this.follow(value as Envelope, text, leaf, length);
  }

  private follow(
    record: Envelope,
    text: string,
    leaf: string,
    length: number,
  ): Failure | undefined {
    const failure =
      this.order(record) ?? this.place(record) ?? this.time(record) ?? this.tally(record, leaf);
    if (failure !== undefined) return failure;
    this.seq += 1;
    this.head = leaf;
    this.record = record;
    this.text = text;
    if (this.segment !== undefined) this.segment.bytes += length + 1;
    return undefined;
  }

  private order(record: Envelope): Failure | undefined {
    if (record.seq < this.seq) {
      return this.fail('seq_duplicate', `number ${record.seq} again: two writers, or a replay`);
    }
    if (record.seq > this.seq) {
      return this.fail('seq_gap', `records ${this.seq} to ${record.seq - 1} are not here`);
    }
    if (this.head !== '' && record.prev !== this.head) {
      return this.fail(
        'prev_mismatch',
        'does not continue the record before it, or that was changed',
      );
    }
    return undefined;
  }

  // Genesis begins the first segment, `log.segment.opened` every other one, and nothing follows
  // `log.segment.closed`: the edges of the files are part of the chain.
  private place({ type, seq, prev, data }: Envelope): Failure | undefined {
    const { segment } = this;
    if (segment === undefined) return undefined;
    if (this.sealed) return this.fail('schema', 'a record follows the end of its segment');
    const opens = type === 'log.genesis' || type === 'log.segment.opened';
    if (opens !== (seq === segment.first) || (type === 'log.genesis') !== (seq === 0)) {
      return this.fail('schema', 'a segment does not begin as it should');
    }
    if (type === 'log.segment.opened') {
      if (data['first_seq'] !== seq || data['previous_size'] !== seq || data['previous'] !== prev) {
        return this.fail('hash_mismatch', 'the segment names another predecessor');
      }
    }
    if (type === 'log.segment.closed') {
      const records = seq - segment.first + 1;
      const { first_seq: first, records: counted, bytes } = data;
      if (first !== segment.first || counted !== records || bytes !== segment.bytes) {
        return this.fail('schema', 'the segment was closed with another count');
      }
      this.sealed = true;
    }
    return undefined;
  }

  private time(record: Envelope): Failure | undefined {
    const ts = millisOf(record.ts);
    if (ts === undefined) return this.fail('schema', 'the time is no time');
    const now = { ts, mono: record.mono, boot: record.boot };
    const before = this.stamp;
    // Nothing can stand before the first record of a segment, not even a `clock.jump`: the record
    // behind it answers for the time since the end of the segment before.
    if (before === undefined || record.type !== 'log.segment.opened') this.stamp = now;
    if (before === undefined) return undefined;
    if (before.boot === now.boot && now.mono < before.mono) {
      return this.fail('clock_regression', 'the monotonic clock went back within one boot');
    }
    if (record.type === 'log.segment.opened') return undefined;
    const jump = jumpBetween(before, now);
    if (jump !== 0 && record.type !== 'clock.jump') {
      return this.fail('clock_regression', `the clock jumped by ${jump} ms without a record of it`);
    }
    return undefined;
  }

  private tally(record: Envelope, leaf: string): Failure | undefined {
    const { run, rseq, rprev } = record;
    if (run === undefined || rseq === undefined) return undefined;
    let tally = this.runs.get(run);
    if (tally === undefined) {
      // In the middle of a log a run may have begun before what is looked at.
      const known = !this.partial || rseq === 0;
      tally = { records: known ? 0 : rseq, last: known ? zeroHash : (rprev ?? ''), closed: false };
      this.runs.set(run, tally);
    }
    if (rseq !== tally.records || rprev !== tally.last) {
      return this.fail(
        'run_incomplete',
        `run ${run} does not continue at its record ${tally.records}`,
      );
    }
    if (record.type === 'run.closed') {
      if (tally.closed) return this.fail('schema', `run ${run} was closed twice`);
      if (record.data['records'] !== rseq + 1) {
        return this.fail('run_incomplete', `run ${run} was closed with another count`);
      }
      tally.closed = true;
    }
    tally.records += 1;
    tally.last = leaf;
    return undefined;
  }

  private fail(reason: Reason, detail: string): Failure {
    return { reason, seq: this.seq, detail };
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
