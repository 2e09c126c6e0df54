import type { LogLine } from './types.ts';

/** One in so many records has its place remembered; a reader skips at most that many lines. */
const stride = 128;

export type RunSpan = { first: number; last: number; records: number; closed: boolean };
export type Spot = { seq: number; segment: number; offset: number };
type Seen = {
  seq: number;
  type: string;
  run?: string | undefined;
  rseq?: number | undefined;
  data: Readonly<Record<string, unknown>>;
};

/** Where durable records lie: enough to find any of them fast, little enough to keep in memory. */
export class Catalog {
  readonly runs = new Map<string, RunSpan>();
  /** First numbers of all segments, ascending. */
  segments: number[] = [];
  private spots: Spot[] = [];
  private seenFrom: number | undefined;
  private prunedTo = 0;

  /** The first record that is there: those before it were let go. */
  get first(): number {
    return Math.max(this.prunedTo, this.seenFrom ?? 0);
  }

  /** The first record that was ever added here, which may have been let go since. */
  get scanned(): number {
    return this.seenFrom ?? 0;
  }

  add(record: Seen, segment: number, offset: number): void {
    this.seenFrom ??= record.seq;
    this.place(record, segment, offset);
    if (record.type === 'log.pruned') this.forget(Number(record.data['to_seq']));
  }

  // Its files may be there for a while; from its record on, nobody looks into them any more.
  private forget(to: number): void {
    this.prunedTo = Math.max(this.prunedTo, to);
    this.segments = this.segments.filter((first) => first >= to);
    this.spots = this.spots.filter(({ seq }) => seq >= to);
    for (const [run, span] of this.runs) {
      if (span.last < to) this.runs.delete(run);
      else span.first = Math.max(span.first, to);
    }
  }

  private place(record: Seen, segment: number, offset: number): void {
    if (this.segments.at(-1) !== segment) this.segments.push(segment);
    if (record.seq % stride === 0 || offset === 0)
      this.spots.push({ seq: record.seq, segment, offset });
    const { run } = record;
    if (run === undefined) return;
    const closes = record.type === 'run.closed';
    const span = this.runs.get(run);
    if (span === undefined) {
      const records = (record.rseq ?? 0) + 1;
      this.runs.set(run, { first: record.seq, last: record.seq, records, closed: closes });
    } else {
      span.last = record.seq;
      span.records += 1;
      span.closed ||= closes;
    }
  }

  /** The last remembered place at or before a record. */
  before(seq: number): Spot {
    let low = 0;
    let high = this.spots.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.spots[middle]?.seq ?? 0) <= seq) low = middle;
      else high = middle - 1;
    }
    return this.spots[low] ?? { seq: 0, segment: 0, offset: 0 };
  }
}

const ringBytesMax = 1024 * 1024;

/** The newest records, so that a reader who keeps up never touches the disk. */
export class Recent {
  private lines: LogLine[] = [];
  private bytes = 0;

  push(line: LogLine): void {
    this.lines.push(line);
    this.bytes += line.length;
    if (this.bytes <= 2 * ringBytesMax) return;
    let drop = 0;
    while (this.bytes > ringBytesMax) this.bytes -= this.lines[drop++]?.length ?? 0;
    this.lines = this.lines.slice(drop);
  }

  /** What is remembered from `seq` on, or undefined where that is too long ago. */
  from(seq: number): LogLine[] | undefined {
    const first = this.lines[0]?.record.seq;
    if (first === undefined || seq < first) return undefined;
    return this.lines.slice(seq - first, seq - first + 256);
  }
}
