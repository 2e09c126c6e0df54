import type { PlanTask } from '#contract/plan.ts';
import type { SandboxSpec } from '../policy/spec.ts';
import type { RunsDeps } from './deps.ts';
import { judgeTask } from './judging/judge-task.ts';
import type { Judging } from './judging/task-input.ts';
import type { AcceptedRun } from './open-run.ts';
import type { Judged } from './requests/clear.ts';
import { requestFor } from './slot.ts';
import { sandboxSpec } from './spec.ts';

/**
 * The sandbox that a task is going to have, and what the policy says of it, before anything is made
 * for it. It is judged once more, exactly, at the moment of its use.
 */
export function expectedOf(deps: RunsDeps, run: AcceptedRun, task: PlanTask): Judged {
  run.policy = deps.policies.today(run.policy);
  const spec = expectedSpec(deps, run, task);
  return { spec, judgement: judgeTask(deps, run, task, spec).judgement };
}

/** As it will be, but for what names it and where its layers lie. */
export function expectedSpec(deps: RunsDeps, run: Judging, task: PlanTask): SandboxSpec {
  const none = { lower: [], upper: '', work: '' };
  return sandboxSpec({
    ...requestFor(deps, run, task),
    runId: run.about.run.id,
    attempt: 0,
    workspace: none,
    npmCache: task.provisions.includes('npm') ? none : undefined,
    layers: deps.layersWay,
  });
}
