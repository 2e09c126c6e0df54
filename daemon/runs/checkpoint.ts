import type { Digest } from '#contract/ids.ts';
import type { Plan } from '#contract/plan.ts';
import type { TaskState, UnsignedCheckpoint } from '#contract/run.ts';
import { isDone, leftBy, type Reused } from './kept.ts';
import type { RunFacts } from './state.ts';

/** What is done so far, with the digests that tie it to this run: a fold, written after each task. */
export function checkpointOf(
  run: RunFacts,
  plan: Plan,
  digests: { plan: Digest; policy: Digest },
  at: string,
): UnsignedCheckpoint {
  const states: Record<string, TaskState> = {};
  const layers: Record<string, Digest> = {};
  const outputs: Record<string, string> = {};
  const results: UnsignedCheckpoint['results'] = {};
  for (const { id } of plan.tasks) {
    const task = run.tasks.get(id);
    states[id] = task?.state ?? 'waiting';
    if (task === undefined || !isDone(task)) continue;
    const left = leftBy(run, id);
    if (left !== undefined) results[id] = resultOf(left);
    if (task.layer) layers[id] = task.layer;
    for (const artifact of task.artifacts) outputs[`${id}/${artifact.name}`] = artifact.sha256;
  }
  const isOver = (id: string) => states[id] === 'succeeded' || states[id] === 'cached';
  const completed = plan.tasks.filter(({ id }) => isOver(id));
  return {
    version: 1,
    run_id: run.id,
    checkpoint_at: at,
    completed_tasks: completed.map((task) => task.id),
    pending_tasks: plan.tasks.filter(({ id }) => !isOver(id)).map(({ id }) => id),
    plan: digests.plan,
    policy: digests.policy,
    snapshot: run.snapshot,
    layers,
    outputs,
    state_snapshot: states,
    workspace: run.workspace,
    concurrency: run.concurrency,
    timeout_ms: run.timeoutMs,
    results,
  };
}

function resultOf(left: Reused): UnsignedCheckpoint['results'][string] {
  const { attempt, layer, action, output } = left;
  return {
    attempt,
    layer,
    ...(action === undefined ? {} : { action }),
    ...(output === undefined ? {} : { output }),
    output_bytes: left.outputBytes,
    output_truncated: left.outputTruncated,
    duration_ms: left.durationMs,
    artifacts: left.artifacts.map(({ name, path, sha256, bytes, kind }) => ({
      name,
      path,
      sha256,
      bytes,
      kind,
    })),
  };
}
