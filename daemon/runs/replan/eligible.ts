import type { Plan, PlanTask } from '#contract/plan.ts';
import { replansDefault } from '#contract/replan.ts';
import type { FailureClass } from '#contract/run.ts';
import type { RunFacts, TaskFacts } from '../state.ts';

/** Whoever wrote a plan, or a command, meant that one. */
const byPeople: readonly string[] = ['file', 'exec'];

/** What another plan could help against. What a policy or a person said no to is not gone around. */
const permanent: readonly FailureClass[] = [
  'code',
  'config',
  'resource',
  'timeout',
  'infra_permanent',
  'unknown',
];

/** How often the plan of a run may be revised for this task. */
export function replansFor(
  { replan }: Pick<RunFacts, 'replan'>,
  { planner }: Pick<Plan, 'planner'>,
  { onFailure }: Pick<PlanTask, 'onFailure'>,
): number {
  if (onFailure === 'continue') return 0;
  if (replan !== undefined) return replan;
  return onFailure === 'replan' || !byPeople.includes(planner) ? replansDefault : 0;
}

/** Whether a task failed in a way that another plan may mend, and nothing came of that yet. */
export function isOpenFailure(facts: TaskFacts | undefined): boolean {
  if (facts?.finishedAt === undefined || facts.superseded !== undefined) return false;
  if (facts.state !== 'failed' && facts.state !== 'timed_out') return false;
  return facts.failure !== undefined && permanent.includes(facts.failure.class);
}
