import { formatLimit, limitNames, limitsFrom, limitWords, type Limits } from '#contract/limits.ts';
import type { DraftTask, Plan, PlanDraft, PlanTask } from '#contract/plan.ts';
import { expand } from '../tools/index.ts';
import { assert } from '../base/assert.ts';
import type { ValidateContext } from './validate.ts';

// The record of a plan has room for so many.
const clampedMax = 500;

/** A draft that was found sound → the plan. Limits that ask for more are lowered, and said so. */
export function derivePlan(
  draft: PlanDraft,
  context: ValidateContext,
): { plan: Plan; clamped: string[] } {
  const { planner, policy, image } = context;
  const clamped: string[] = [];
  const tasks = draft.tasks.map((task) => deriveTask(task, context, clamped));
  const over = clamped.length - clampedMax;
  const plan: Plan = {
    version: 1,
    planner,
    assumptions: draft.assumptions,
    policy: { name: policy.name, digest: policy.digest },
    image: { reference: image.reference, id: image.id },
    tasks,
  };
  if (over <= 0) return { plan, clamped };
  return { plan, clamped: [...clamped.slice(0, clampedMax), `and ${over} more`] };
}

function deriveTask(task: DraftTask, { policy }: ValidateContext, clamped: string[]): PlanTask {
  const expanded = expand(task);
  assert(expanded !== undefined, `task ${task.id} was accepted with an unknown tool`);
  return {
    id: task.id,
    title: task.title,
    why: task.why,
    tool: task.tool,
    args: task.args,
    env: {
      ...Object.fromEntries(task.env.map(({ name, value }) => [name, value])),
      ...expanded.env,
    },
    cwd: task.cwd,
    deps: [...new Set(task.deps)],
    outputs: task.outputs,
    onFailure: task.onFailure,
    // Left out where nothing is said, so that a plan keeps the digest that it had before.
    ...(task.inputs.length === 0 ? {} : { inputs: task.inputs }),
    ...(task.sideEffects ? { sideEffects: true } : {}),
    ...(task.locks.length === 0 ? {} : { locks: task.locks.toSorted() }),
    ...(task.retries === undefined ? {} : { retries: task.retries }),
    secrets: task.secrets.toSorted(),
    ...(task.questions.length === 0 ? {} : { questions: task.questions }),
    command: expanded.command,
    provisions: expanded.provisions,
    limits: clamp(task, policy.limits, policy.name, clamped),
  };
}

function clamp(task: DraftTask, ceiling: Limits, policy: string, clamped: string[]): Limits {
  const limits = { ...ceiling };
  const asked = limitsFrom(task.limits);
  for (const name of limitNames) {
    const value = asked[name];
    if (value === undefined) continue;
    limits[name] = Math.min(value, ceiling[name]);
    if (value <= ceiling[name]) continue;
    const [above, max] = [formatLimit(name, value), formatLimit(name, ceiling[name])];
    clamped.push(`${task.id}: ${limitWords[name]} ${above} lowered to ${max} by policy ${policy}`);
  }
  return limits;
}
