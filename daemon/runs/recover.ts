import type { RunsDeps } from './deps.ts';

/**
 * What the last daemon left open. Its containers are gone by now (`sandbox/sweep.ts`), so each
 * task that ran and each run that was open is closed as unknown: nobody saw how it would have ended.
 */
export async function closeLeftRuns(deps: RunsDeps): Promise<string[]> {
  const left = deps.log.openRuns();
  for (const id of left) {
    const facts = deps.states.find(id);
    for (const [task, { state, attempt }] of facts?.tasks ?? []) {
      if (state !== 'running') continue;
      await deps.log.append({
        type: 'task.finished',
        run: id,
        obj: { task },
        outcome: 'unknown',
        data: {
          attempt,
          outcome: 'unknown',
          reason: 'the daemon ended before the task did',
          duration_ms: 0,
          cpu_ms: 0,
          memory_peak_bytes: 0,
          output_bytes: 0,
          output_truncated: false,
        },
      });
    }
    await deps.log.append({
      type: 'run.closed',
      run: id,
      outcome: 'unknown',
      sev: 'warn',
      data: {
        outcome: 'unknown',
        artifacts: 0,
        duration_ms: 0,
        exit_code: 2,
        reason: 'the daemon ended before the run did',
      },
    });
  }
  return left;
}
