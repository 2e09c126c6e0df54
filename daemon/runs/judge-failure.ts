import type { PlanTask } from '#contract/plan.ts';
import type { AnyEntry } from '../audit/types.ts';
import type { RunsDeps } from './deps.ts';
import { afterFailure, type EndedAttempt } from './failures/after-failure.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';

export type Judged = {
  /** What kind of failure it was, on record before its end is. */
  entries: AnyEntry[];
  /** Another attempt, and how long from now. */
  retry?: { afterMs: number; entries: AnyEntry[] };
};

/** Whether a task that failed gets another attempt, who pays for it, and what a person can do. */
export function judgeFailure(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  over: Pick<EndedAttempt, 'ended' | 'error' | 'tail' | 'began'>,
): Judged {
  // Whoever stopped it knows why.
  if (over.ended.outcome === 'cancelled') return { entries: [] };
  const facts = deps.states.find(run.id)?.tasks.get(task.id);
  const { failure, retry } = afterFailure({
    ...over,
    run: run.id,
    task,
    peak: facts?.limitPeak,
    most: run.policy.limits,
    passedIn: deps.flaky.passedIn(facts?.action),
    used: facts?.used ?? { task: 0, ours: 0 },
    random: Math.random,
  });
  const entries = [taskEntry(run, task.id, { type: 'failure.classified' as const, data: failure })];
  // Whoever stopped the run wants no other attempt.
  if (retry === undefined || run.controller.signal.aborted) return { entries };
  const scheduled = taskEntry(run, task.id, { type: 'retry.scheduled' as const, data: retry });
  return { entries, retry: { afterMs: retry.after_ms, entries: [scheduled] } };
}
