import type { PlanTask } from '#contract/plan.ts';
import type { RunsDeps } from './deps.ts';
import type { AcceptedRun } from './open-run.ts';
import type { Judged } from './requests/clear.ts';
import { requestFor } from './slot.ts';
import { sandboxSpec } from './spec.ts';

/**
 * The sandbox that a task is going to have, and what the policy says of it, before anything is made
 * for it. It is judged once more, exactly, at the moment of its use.
 */
export function expectedOf(deps: RunsDeps, run: AcceptedRun, task: PlanTask): Judged {
  const none = { lower: [], upper: '', work: '' };
  const hasCache = task.provisions.includes('npm') && run.npmCaches.has(task.cwd);
  const spec = sandboxSpec({
    ...requestFor(deps, run, task),
    runId: run.id,
    attempt: 0,
    workspace: none,
    npmCache: hasCache ? none : undefined,
    layers: deps.layersWay,
  });
  const judgement = { effect: 'allow', profile: 'standard', profiles: [], rules: [], deciding: [] };
  return { spec, judgement: judgement as Judged['judgement'] };
}
