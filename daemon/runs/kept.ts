import type { Digest } from '#contract/ids.ts';
import type { AnyEntry } from '../audit/types.ts';
import { taskEntry, type OpenRun } from './open-run.ts';
import type { RunFacts, TaskFacts } from './state.ts';

/** What a task left in another run and counts for one in this. */
export type Reused = {
  run: string;
  task: string;
  attempt: number;
  layer: Digest;
  action?: Digest | undefined;
  output?: Digest | undefined;
  outputBytes: number;
  outputTruncated: boolean;
  durationMs: number;
  artifacts: readonly {
    name: string;
    path: string;
    sha256: string;
    bytes: number;
    kind: 'file' | 'directory';
  }[];
};

/** The records of a task that did not run, in one batch: first what it left, then that it counts. */
export function reusedEntries(
  run: Pick<OpenRun, 'id'>,
  task: string,
  reused: Reused,
  why: 'cache' | 'resumed',
): AnyEntry[] {
  const { action, output } = reused;
  return [
    ...reused.artifacts.map(({ name, path, sha256, bytes, kind }) =>
      taskEntry(run, task, {
        type: 'artifact.collected' as const,
        data: { name, path, sha256, bytes, kind },
      }),
    ),
    taskEntry(run, task, {
      type: 'task.cached',
      data: {
        from_run: reused.run,
        from_task: reused.task,
        attempt: reused.attempt,
        why,
        layer: reused.layer,
        output_bytes: reused.outputBytes,
        output_truncated: reused.outputTruncated,
        duration_ms: reused.durationMs,
        ...(action === undefined ? {} : { action }),
        ...(output === undefined ? {} : { output }),
      },
    }),
  ];
}

/** What a task of an earlier run left, under the name of the run in which it really ran. */
export function leftBy(earlier: RunFacts, id: string): Reused | undefined {
  const task = earlier.tasks.get(id);
  if (task?.layer === undefined || !isDone(task)) return undefined;
  return {
    run: task.from?.run ?? earlier.id,
    task: task.from?.task ?? id,
    attempt: task.attempt,
    layer: task.layer,
    action: task.action,
    output: task.output,
    outputBytes: task.outputBytes ?? 0,
    outputTruncated: task.outputTruncated ?? false,
    durationMs: task.durationMs ?? 0,
    artifacts: task.artifacts,
  };
}

export function isDone({ state }: Pick<TaskFacts, 'state'>): boolean {
  return state === 'succeeded' || state === 'cached';
}
