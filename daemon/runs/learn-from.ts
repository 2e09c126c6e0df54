import { loadPlan } from './accept.ts';
import type { RunsDeps } from './deps.ts';
import type { RunFacts } from './state.ts';

const runsMax = 100;

/**
 * What tasks of the last runs took, from the log: a daemon that starts need not learn it anew. Beside
 * everything else, a run at a time; a plan that was pruned has nothing to teach.
 */
export async function learnFromPast(
  deps: Pick<RunsDeps, 'states' | 'blobs' | 'durations' | 'demands' | 'learning'>,
  signal: AbortSignal,
): Promise<void> {
  for (const run of deps.states.all().slice(-runsMax)) {
    if (signal.aborted) return;
    if (run.audit.first < deps.learning.allForgottenBefore) continue;
    await learnFrom(deps, run);
    // Whoever waits goes first.
    await new Promise(setImmediate);
  }
}

async function learnFrom(
  deps: Pick<RunsDeps, 'blobs' | 'durations' | 'demands'>,
  run: RunFacts,
): Promise<void> {
  if (run.plan === undefined) return;
  const plan = await loadPlan(deps, run.plan).catch(() => undefined);
  for (const task of plan?.tasks ?? []) {
    const { state, durationMs, cpuMs = 0, memoryPeakBytes = 0 } = run.tasks.get(task.id) ?? {};
    if (state !== 'succeeded' || durationMs === undefined) continue;
    deps.durations.note(task, durationMs);
    deps.demands.note(task, { cpuMs, ms: durationMs, memoryPeakBytes });
  }
}
