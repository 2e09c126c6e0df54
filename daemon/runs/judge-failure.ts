import type { PlanTask } from '#contract/plan.ts';
import type { RecordData } from '#contract/records.ts';
import type { AnyEntry } from '../audit/types.ts';
import type { RunsDeps } from './deps.ts';
import { lostMax } from './recover.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';

type Ended = { attempt: number; verdict: { outcome: RecordData<'attempt.ended'>['outcome'] } };

export type Judged = {
  /** What kind of failure it was, on record before its end is. */
  entries: AnyEntry[];
  /** Another attempt, and how long from now. */
  retry?: { afterMs: number; entries: AnyEntry[] };
};

/** Whether a task that failed gets another attempt, and who pays for it. */
export function judgeFailure(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  { attempt, verdict }: Ended,
): Judged {
  const used = deps.states.find(run.id)?.tasks.get(task.id)?.oursUsed ?? 0;
  if (verdict.outcome !== 'unknown' || used >= lostMax || run.controller.signal.aborted) {
    return { entries: [] };
  }
  const data = {
    attempt: attempt + 1,
    after_ms: 0,
    budget: 'ours' as const,
    left: lostMax - used - 1,
  };
  return {
    entries: [],
    retry: { afterMs: 0, entries: [taskEntry(run, task.id, { type: 'retry.scheduled', data })] },
  };
}
