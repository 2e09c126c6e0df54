import { hash } from 'node:crypto';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { LogRecord } from '#contract/records.ts';
import { frameFile } from '#verifier/frame.ts';
import { lineBytesMax } from '#verifier/limits.ts';
import { segmentName } from '#verifier/segments.ts';
import type { Catalog, Spot } from './catalog.ts';
import type { LogHead, LogLine } from './types.ts';

const chunkBytes = 256 * 1024;
const batchBytes = 192 * 1024;

/**
 * Durable records `from` up to, not including, `to`, straight from the segments. A line is handed
 * out only once the line after it (or the head) names its hash.
 */
export async function* readSegments(
  dir: string,
  catalog: Catalog,
  range: { from: number; to: number },
  head: LogHead,
): AsyncGenerator<LogLine, void, undefined> {
  const to = Math.min(range.to, head.size);
  if (range.from >= to) return;
  // One more than asked for, where there is one: it vouches for the last.
  const until = Math.min(to + 1, head.size);
  let spot = catalog.before(range.from);
  let held: LogLine | undefined;
  while (spot.seq < until) {
    const { lines, next } = await readBatch(dir, catalog, spot, until);
    for (const line of lines) {
      if (held !== undefined) {
        if (line.record.prev !== held.hash) throw broken(held);
        if (held.record.seq >= range.from && held.record.seq < to) yield held;
      }
      held = line;
    }
    spot = next;
  }
  if (held === undefined) return;
  if (held.record.seq === head.size - 1 && held.hash !== head.hash) throw broken(held);
  if (held.record.seq < to) yield held;
}

async function readBatch(
  dir: string,
  catalog: Catalog,
  spot: Spot,
  until: number,
): Promise<{ lines: LogLine[]; next: Spot }> {
  const lines: LogLine[] = [];
  let { seq, offset } = spot;
  const nextSegment = catalog.segments.find((first) => first > spot.segment) ?? Infinity;
  const end = Math.min(until, nextSegment);
  const started = offset;
  await frameFile(
    join(dir, 'segments', segmentName(spot.segment)),
    (buffer, start, stop, at) => {
      const line = lineOf(buffer, start, stop, { segment: spot.segment, offset: at });
      if (line?.record.seq !== seq) return false;
      lines.push(line);
      seq += 1;
      offset = at + line.length + 1;
      return seq < end && offset - started < batchBytes;
    },
    { from: offset, chunkBytes, lineBytesMax },
  );
  // Records that were durable are not there, or are others.
  if (lines.length === 0) throw broken({ record: { seq }, ...spot });
  const next = seq === nextSegment ? { seq, segment: seq, offset: 0 } : { ...spot, seq, offset };
  return { lines, next };
}

/** A line from its bytes, hashed as they are; undefined where it is no record at all. */
export function lineOf(
  buffer: Buffer,
  start: number,
  end: number,
  place: { segment: number; offset: number },
): LogLine | undefined {
  const line = buffer.toString('utf8', start, end);
  buffer[start - 1] = 0;
  const leaf = hash('sha256', buffer.subarray(start - 1, end), 'hex');
  try {
    const record = JSON.parse(line) as LogRecord;
    return { record, line, hash: leaf, ...place, length: end - start };
  } catch {
    return undefined;
  }
}

export function broken(line: {
  record: { seq: number };
  segment: number;
  offset: number;
}): OrchestraError {
  const file = segmentName(line.segment);
  return new OrchestraError(
    'audit.broken',
    `Record ${line.record.seq} in ${file}, byte ${line.offset}, is not what was written`,
    { hint: 'orchestra audit verify' },
  );
}
