import type { stopReasons } from '#contract/retention.ts';
import type { Log } from '../types.ts';
import type { Holds } from './holds.ts';
import { surveySegment, type SegmentFacts } from './survey.ts';

/** What somebody still needs: everything from a record on, and why, in words. */
export type Need = { from: number; what: string };

/** Why nothing more goes. `seq` is the record that stays because of it. */
export type Stop = {
  why: (typeof stopReasons)[number];
  seq: number;
  detail: string;
};

/** What may go in one go: whole segments from the front, and what keeps the one behind them. */
export type PrunePlan = {
  to: number;
  segments: SegmentFacts[];
  /** Undefined where one record can name no more, and more may go in another go. */
  stop: Stop | undefined;
};

export type PlanDeps = {
  dir: string;
  log: Pick<Log, 'read' | 'segments' | 'first'>;
  holds: Pick<Holds, 'over'>;
};

export type PlanRules = {
  /** Only what is older than this goes, UTC milliseconds. */
  before: number;
  needs: readonly Need[];
  /** Size of a tree that is signed: what lies in its full tiles can be proved for ever. */
  signed: number;
};

/** As many as one record of the log can name. */
export const segmentsMax = 40;
const tileWidth = 256;

/** Looks at the segments from `from` on, oldest first, and stops at the first that has to stay. */
export async function planPrune(
  deps: PlanDeps,
  rules: PlanRules,
  from: number,
  signal?: AbortSignal,
): Promise<PrunePlan> {
  const segments: SegmentFacts[] = [];
  const closed = deps.log.segments.filter((first) => first >= from);
  let to = from;
  while (segments.length < segmentsMax) {
    const next = closed[segments.length + 1];
    const stop = await whyStays(deps, rules, { first: to, next }, signal);
    if (stop !== undefined) return { to, segments, stop };
    const facts = await surveySegment(deps, { first: to, next: next ?? to }, signal);
    const held = whyFactsStay(deps, rules, facts);
    if (held !== undefined) return { to, segments, stop: held };
    segments.push(facts);
    to = next ?? to;
  }
  return { to, segments, stop: undefined };
}

/** By what can be known before all of it is read. */
async function whyStays(
  { log }: PlanDeps,
  { needs, signed, before }: PlanRules,
  { first, next }: { first: number; next: number | undefined },
  signal?: AbortSignal,
): Promise<Stop | undefined> {
  signal?.throwIfAborted();
  if (next === undefined) {
    return { why: 'open_segment', seq: first, detail: 'it is being written to' };
  }
  const need = needs.filter((each) => each.from < next).toSorted((a, b) => a.from - b.from)[0];
  if (need !== undefined) return { why: 'needed', seq: need.from, detail: need.what };
  if (next > signed - (signed % tileWidth)) {
    const detail = `${signed} records are signed, and proofs need whole tiles of ${tileWidth}`;
    return { why: 'unsigned', seq: next, detail };
  }
  for await (const { record } of log.read({ from: first, to: first + 1 })) {
    if (Date.parse(record.ts) >= before) return young(first, Date.parse(record.ts));
  }
  return undefined;
}

function whyFactsStay(
  { holds }: PlanDeps,
  { before }: PlanRules,
  { first_seq: seq, earliest, latest }: SegmentFacts,
): Stop | undefined {
  if (latest >= before) return young(seq, latest);
  const hold = holds.over(earliest, latest);
  return hold && { why: 'hold', seq, detail: `hold ${hold.name}: ${hold.reason}` };
}

function young(seq: number, at: number): Stop {
  return { why: 'young', seq, detail: `it has records of ${new Date(at).toISOString()}` };
}
