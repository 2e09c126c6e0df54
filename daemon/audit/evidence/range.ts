import type { Log } from '../types.ts';

const dayMs = 86_400_000;

/**
 * Which records may be of a time, by what segments say of their own beginning and not by the index,
 * which could hide some: whole segments, with a day's room for clocks that were set. Whoever reads
 * them looks at the time of each record.
 */
export async function segmentsOfTime(
  log: Pick<Log, 'read' | 'segments' | 'size' | 'first'>,
  { from, to }: { from: number; to: number },
): Promise<{ first: number; end: number }> {
  const size = log.size;
  const opened: { seq: number; at: number }[] = [];
  for (const seq of log.segments) {
    for await (const { record } of log.read({ from: seq, to: seq + 1 })) {
      opened.push({ seq, at: Date.parse(record.ts) });
    }
  }
  let [first, end] = [size, log.first];
  for (const [index, { seq, at }] of opened.entries()) {
    const next = opened[index + 1];
    const [low, high] = [Math.min(at, next?.at ?? at), Math.max(at, next?.at ?? Infinity)];
    if (low - dayMs > to || high + dayMs < from) continue;
    first = Math.min(first, seq);
    end = Math.max(end, next?.seq ?? size);
  }
  return first < end ? { first, end } : { first: size, end: size };
}
