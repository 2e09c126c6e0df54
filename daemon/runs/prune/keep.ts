import type { RunId } from '#contract/ids.ts';
import type { RunFacts } from '../state.ts';

export type PrunableRun = Pick<RunFacts, 'id' | 'submittedAt' | 'closedAt' | 'continues' | 'audit'>;

export type KeepRule = {
  /** Runs used within so many days are kept. */
  keepDays: number;
  /** The last so many runs are kept. */
  keepRuns: number;
};

export const dayMs = 86_400_000;

/**
 * Runs that are kept whatever the disk says: the open ones, and those that an open one goes on
 * from, whose layers it may ask for at any time.
 */
export function heldRuns(runs: readonly PrunableRun[]): Set<RunId> {
  const open = runs.filter((run) => run.closedAt === undefined);
  return new Set(open.flatMap(({ id, continues }) => (continues ? [id, continues.run] : [id])));
}

/** Those that a rule keeps; either half of it is enough. `runs` is in the order of submission. */
export function keptByRule(
  runs: readonly PrunableRun[],
  rule: KeepRule,
  { now, usedAt }: { now: number; usedAt: (run: PrunableRun) => number },
): Set<RunId> {
  const since = now - rule.keepDays * dayMs;
  const last = rule.keepRuns === 0 ? [] : runs.slice(-rule.keepRuns);
  const young = rule.keepDays === 0 ? [] : runs.filter((run) => usedAt(run) >= since);
  return new Set([...last, ...young].map((run) => run.id));
}

/** By the run alone; whoever read the log may know of a later use. */
export function endOf(run: PrunableRun): number {
  return run.closedAt === undefined ? Infinity : Date.parse(run.closedAt);
}
