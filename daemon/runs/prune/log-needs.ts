import type { Need } from '../../audit/retention/plan.ts';
import type { Log } from '../../audit/types.ts';
import type { RunFacts } from '../state.ts';
import type { PrunedRuns } from './pruned-runs.ts';

export type LogNeedsDeps = {
  log: Pick<Log, 'openRuns' | 'first'>;
  states: {
    all(): readonly Pick<RunFacts, 'id' | 'audit'>[];
    find(id: string): Pick<RunFacts, 'audit'> | undefined;
  };
  pruned: Pick<PrunedRuns, 'find'>;
  /** Where the daemon that runs now said how it began. */
  startedSeq: () => number | undefined;
};

/**
 * From which record on the log is still needed, whatever its age: for runs that are open, for runs
 * whose content is kept, and for what the daemon that runs now said of itself.
 */
export function logNeeds({ log, states, pruned, startedSeq }: LogNeedsDeps): Need[] {
  const needs: Need[] = log.openRuns().map((id) => ({
    from: states.find(id)?.audit.first ?? log.first,
    what: `run ${id} is open`,
  }));
  let oldest: Pick<RunFacts, 'id' | 'audit'> | undefined;
  for (const run of states.all()) {
    if (pruned.find(run.id) !== undefined) continue;
    if (oldest === undefined || run.audit.first < oldest.audit.first) oldest = run;
  }
  if (oldest !== undefined) {
    const what = `what run ${oldest.id} read and wrote is kept: orchestra prune`;
    needs.push({ from: oldest.audit.first, what });
  }
  const from = startedSeq();
  if (from !== undefined) needs.push({ from, what: 'the daemon that runs now began there' });
  return needs;
}
