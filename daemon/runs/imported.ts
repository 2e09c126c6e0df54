import type { RunCheckpoint } from '#contract/run.ts';
import type { Reused } from './kept.ts';
import type { RunFacts, TaskFacts } from './state.ts';

/** What a checkpoint says that a task left. */
export function leftInCheckpoint(checkpoint: RunCheckpoint, task: string): Reused | undefined {
  const result = Object.hasOwn(checkpoint.results, task) ? checkpoint.results[task] : undefined;
  if (result === undefined) return undefined;
  const { attempt, layer, action, output, artifacts } = result;
  return {
    run: checkpoint.run_id,
    task,
    attempt,
    layer,
    action,
    output,
    outputBytes: result.output_bytes,
    outputTruncated: result.output_truncated,
    durationMs: result.duration_ms,
    artifacts,
  };
}

/** As much of a run as its checkpoint tells of where its tasks stand. */
export function factsOf(checkpoint: RunCheckpoint): Pick<RunFacts, 'id' | 'tasks'> {
  const tasks = new Map<string, TaskFacts>();
  for (const [id, state] of Object.entries(checkpoint.state_snapshot)) {
    tasks.set(id, { state, attempt: state === 'waiting' ? 0 : 1, artifacts: [] });
  }
  return { id: checkpoint.run_id, tasks };
}
