import type { Digest } from '#contract/ids.ts';
import type { Plan } from '#contract/plan.ts';
import type { RunCheckpoint, TaskState } from '#contract/run.ts';
import type { RunFacts } from './state.ts';

/** What is done so far, with the digests that tie it to this run: a fold, written after each task. */
export function checkpointOf(
  run: RunFacts,
  plan: Plan,
  digests: { plan: Digest; policy: Digest },
  at: string,
): RunCheckpoint {
  const states: Record<string, TaskState> = {};
  const layers: Record<string, Digest> = {};
  const outputs: Record<string, string> = {};
  for (const { id } of plan.tasks) {
    const task = run.tasks.get(id);
    states[id] = task?.state ?? 'waiting';
    if (task?.state !== 'succeeded') continue;
    if (task.layer) layers[id] = task.layer;
    for (const artifact of task.artifacts) outputs[`${id}/${artifact.name}`] = artifact.sha256;
  }
  const completed = plan.tasks.filter(({ id }) => states[id] === 'succeeded');
  return {
    version: 1,
    run_id: run.id,
    checkpoint_at: at,
    completed_tasks: completed.map((task) => task.id),
    pending_tasks: plan.tasks.filter(({ id }) => states[id] !== 'succeeded').map(({ id }) => id),
    plan: digests.plan,
    policy: digests.policy,
    snapshot: run.snapshot,
    layers,
    outputs,
    state_snapshot: states,
  };
}
