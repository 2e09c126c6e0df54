import type { DraftTask, PlanTask } from '#contract/plan.ts';
import { expand } from '../../tools/index.ts';

/** A task of a plan in the words of a draft, so that what stands is checked together with what comes. */
export function draftOf(task: PlanTask): DraftTask {
  const added = expand(task)?.env ?? {};
  return {
    id: task.id,
    title: task.title,
    why: task.why,
    tool: task.tool,
    args: [...task.args],
    env: Object.entries(task.env)
      .filter(([name]) => !Object.hasOwn(added, name))
      .map(([name, value]) => ({ name, value })),
    cwd: task.cwd,
    deps: [...task.deps],
    outputs: task.outputs.map((output) => ({ ...output })),
    inputs: [...(task.inputs ?? [])],
    sideEffects: task.sideEffects === true,
    locks: [...(task.locks ?? [])],
    ...(task.retries === undefined ? {} : { retries: task.retries }),
    // It keeps the limits that it has: a draft says only what it wants to be different.
    limits: {},
    secrets: [...task.secrets],
    questions: [...(task.questions ?? [])],
    onFailure: task.onFailure,
  };
}
