import type { PlanTask } from '#contract/plan.ts';

/** The task as the plan has it: without what people gave it since. */
export function withoutGiven(task: PlanTask): PlanTask {
  const { given = [], ...planned } = task;
  if (given.length === 0) return task;
  const env = Object.fromEntries(
    Object.entries(task.env).filter(([name]) => !given.includes(name)),
  );
  return { ...planned, env, secrets: task.secrets.filter((name) => !given.includes(name)) };
}
