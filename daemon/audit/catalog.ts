import type { LogLine } from './types.ts';

/** One in so many records has its place remembered; a reader skips at most that many lines. */
const stride = 128;

export type RunSpan = { first: number; last: number; records: number; closed: boolean };
export type Spot = { seq: number; segment: number; offset: number };
type Seen = { seq: number; type: string; run?: string | undefined };

/** Where durable records lie: enough to find any of them fast, little enough to keep in memory. */
export class Catalog {
  readonly runs = new Map<string, RunSpan>();
  /** First numbers of all segments, ascending. */
  readonly segments: number[] = [];
  private readonly spots: Spot[] = [];

  add(record: Seen, segment: number, offset: number): void {
    if (this.segments.at(-1) !== segment) this.segments.push(segment);
    if (record.seq % stride === 0 || offset === 0)
      this.spots.push({ seq: record.seq, segment, offset });
    const { run } = record;
    if (run === undefined) return;
    const closes = record.type === 'run.closed';
    const span = this.runs.get(run);
    if (span === undefined) {
      this.runs.set(run, { first: record.seq, last: record.seq, records: 1, closed: closes });
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
