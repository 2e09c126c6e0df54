import type { RunsDeps } from './deps.ts';
import { clearOutput, keepLeftOutput } from './left-output.ts';

/**
 * What the last daemon left open. Its containers are gone by now (`sandbox/sweep.ts`), so each
 * task that ran and each run that was open is closed as unknown: nobody saw how it would have ended.
 */
export async function closeLeftRuns(deps: RunsDeps): Promise<string[]> {
  const left = deps.log.openRuns();
  for (const id of left) {
    await finishLeftTasks(deps, id, 'the daemon ended before the task did');
    await deps.log.append({
      type: 'run.closed',
      run: id,
      outcome: 'unknown',
      sev: 'warn',
      data: {
        outcome: 'unknown',
        artifacts: artifactsOf(deps, id),
        duration_ms: 0,
        exit_code: 2,
        reason: 'the daemon ended before the run did',
      },
    });
  }
  await clearOutput(deps.stateDir);
  return left;
}

/** No run is closed with a task that looks as if it were still running. */
export async function finishLeftTasks(deps: RunsDeps, id: string, reason: string): Promise<void> {
  for (const [task, { state, attempt }] of deps.states.find(id)?.tasks ?? []) {
    if (state !== 'running') continue;
    const output = await keepLeftOutput(deps, id, task);
    await deps.log.append({
      type: 'task.finished',
      run: id,
      obj: { task },
      outcome: 'unknown',
      data: {
        attempt,
        outcome: 'unknown',
        reason,
        duration_ms: 0,
        cpu_ms: 0,
        memory_peak_bytes: 0,
        output_truncated: false,
        ...output,
      },
    });
  }
}

export function artifactsOf(deps: RunsDeps, id: string): number {
  return [...(deps.states.find(id)?.tasks.values() ?? [])].flatMap((task) => task.artifacts).length;
}
