import type { Plan, PlanTask } from '#contract/plan.ts';
import type { Decision, Reason } from './decide.ts';
import type { EffectivePolicy, PolicyLists } from './effective.ts';
import { againstLists } from './lists.ts';

/**
 * Judges a whole plan by lists before anything of it runs: every task, every reason. `listsOf` says
 * which lists a task gets, where not all of them get the same. The sandbox of each task is judged
 * again, on its exact spec, when its turn comes.
 */
export function review(
  plan: Plan,
  policy: EffectivePolicy,
  listsOf: (task: PlanTask) => PolicyLists = () => policy,
): Decision {
  const reasons: Reason[] = [];
  if (plan.policy.digest !== policy.digest) {
    const message = `the plan was made under policy ${plan.policy.name} in another version`;
    reasons.push({ rule: 'policy', message });
  }
  if (!policy.images.some((image) => image.reference === plan.image.reference)) {
    reasons.push({ rule: 'image', message: `image ${plan.image.reference} is not on the list` });
  }
  if (plan.tasks.length > policy.run.tasks) {
    const message = `${plan.tasks.length} tasks are more than ${policy.run.tasks}`;
    reasons.push({ rule: 'tasks', message });
  }
  for (const task of plan.tasks) reasons.push(...againstLists(task, listsOf(task)));
  return reasons.length === 0 ? { allow: true } : { allow: false, reasons };
}
