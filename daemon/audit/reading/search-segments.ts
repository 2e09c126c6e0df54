import type { IndexPage, IndexQuery, LogIndex, Range } from '../index-db.ts';
import type { Log, LogLine } from '../types.ts';
import { matches } from './filter.ts';

export type SegmentPage = IndexPage & {
  /** Of the records that were looked at, those that the index would not have named; undefined where it cannot be asked. */
  hidden: number[] | undefined;
};

/** A page gives up after so many lines and says where to go on. */
const scanMax = 20_000;
/** Backwards it goes in steps: lines can only be told apart from their beginning. */
const stepRecords = 1_000;

/**
 * The same question, answered by reading the lines themselves, and what the index says to it beside:
 * a row that was changed so that it meets no filter shows nowhere else.
 */
export async function searchSegments(
  { log, index }: { log: Log; index: Pick<LogIndex, 'numbers'> },
  query: IndexQuery,
): Promise<SegmentPage> {
  const { order, cursor, text, limit = 100, ...filter } = query;
  const { size, first } = log;
  const isNewest = order === 'newest';
  const start = Math.max(first, Math.min(size, isNewest ? (cursor ?? size) : (cursor ?? -1) + 1));
  const lines: LogLine[] = [];
  const met: number[] = [];
  let at = start;
  for await (const line of isNewest ? backwards(log, start) : log.read({ from: start, to: size })) {
    at = isNewest ? line.record.seq : line.record.seq + 1;
    if (matches(line, filter)) {
      met.push(line.record.seq);
      if (matches(line, { text })) lines.push(line);
    }
    if (lines.length >= limit || Math.abs(at - start) >= scanMax) break;
  }
  const scanned: Range = isNewest ? { from: at, to: start } : { from: start, to: at };
  const isDone = isNewest ? at <= first : at >= size;
  return {
    lines,
    scanned,
    next: isDone ? undefined : isNewest ? at : at - 1,
    hidden: await hiddenAmong(index, filter, { met, scanned }),
  };
}

async function hiddenAmong(
  index: Pick<LogIndex, 'numbers'>,
  filter: IndexQuery,
  { met, scanned }: { met: readonly number[]; scanned: Range },
): Promise<number[] | undefined> {
  const named = await index.numbers(filter, scanned).catch(() => undefined);
  if (named === undefined) return undefined;
  const known = new Set(named);
  return met.filter((seq) => !known.has(seq)).toSorted((a, b) => a - b);
}

async function* backwards(log: Log, to: number): AsyncGenerator<LogLine, void, undefined> {
  for (let end = to; end > log.first; end -= stepRecords) {
    const from = Math.max(log.first, end - stepRecords);
    const step = await Array.fromAsync(log.read({ from, to: end }));
    yield* step.reverse();
  }
}
