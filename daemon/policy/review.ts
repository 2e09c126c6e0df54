import { formatLimit, limitNames, limitWords } from '#contract/limits.ts';
import type { Plan, PlanTask } from '#contract/plan.ts';
import { fixedValue, isReserved } from '../tools/environment.ts';
import { findTool } from '../tools/index.ts';
import type { Decision, Reason } from './decide.ts';
import type { EffectivePolicy } from './effective.ts';
import { allowsName } from './env-pattern.ts';
import { grantsSecret } from './secret-grants.ts';

/**
 * Judges a whole plan before anything of it runs: every task, every reason. The sandbox of each
 * task is judged again, on its exact spec, when its turn comes.
 */
export function review(plan: Plan, policy: EffectivePolicy): Decision {
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
  for (const task of plan.tasks) reasons.push(...reviewTask(task, policy));
  return reasons.length === 0 ? { allow: true } : { allow: false, reasons };
}

function reviewTask(task: PlanTask, policy: EffectivePolicy): Reason[] {
  const reasons: Reason[] = [];
  const add = (rule: string, message: string) => reasons.push({ rule, message, task: task.id });
  const tool = findTool(task.tool);
  if (tool === undefined || !policy.tools.includes(task.tool)) {
    add('tools', `tool ${task.tool} is not allowed`);
  } else {
    for (const message of tool.judge(task.args)) add('arguments', message);
    if (tool.provisions(task.args).length > 0 && policy.provision.registries.length === 0) {
      add('provision', 'packages are needed, and no registry is allowed');
    }
  }
  for (const [name, value] of Object.entries(task.env)) {
    const fixed = fixedValue(name);
    if (fixed !== undefined ? value === fixed : !isReserved(name) && allowsName(policy.env, name))
      continue;
    add('environment', `${name} is not on the list of names`);
  }
  for (const name of task.secrets) {
    if (grantsSecret(policy.secrets, name, task)) continue;
    add('secrets', `secret ${name} is not granted to ${task.id} with the tool ${task.tool}`);
  }
  for (const name of limitNames) {
    const [value, max] = [task.limits[name], policy.limits[name]];
    if (Number.isSafeInteger(value) && value >= 1 && value <= max) continue;
    add(
      'limits',
      `${limitWords[name]}: ${formatLimit(name, value)} is above ${formatLimit(name, max)}`,
    );
  }
  return reasons;
}
