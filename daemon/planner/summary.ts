import type { Plan } from '#contract/plan.ts';

/** What a reader has to know of a plan before saying yes: what it may do, in a few lines. */
export function summarize(plan: Plan): string[] {
  const tools = [...new Set(plan.tasks.map((task) => task.tool))].sort();
  const fed = plan.tasks.filter((task) => task.provisions.length > 0).map((task) => task.id);
  const outputs = plan.tasks.reduce((sum, task) => sum + task.outputs.length, 0);
  const count = plan.tasks.length === 1 ? '1 task' : `${plan.tasks.length} tasks`;
  return [
    `${count} in ${plan.image.reference}, policy ${plan.policy.name}, no network`,
    `tools: ${tools.join(', ')}`,
    ...(fed.length === 0
      ? []
      : [`packages that the lockfile pins are provided to ${fed.slice(0, 10).join(', ')}`]),
    ...(outputs === 0 ? [] : [outputs === 1 ? '1 output' : `${outputs} outputs`]),
    ...plan.assumptions,
  ];
}
