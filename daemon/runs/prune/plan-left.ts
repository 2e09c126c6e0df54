import { OrchestraError } from '#contract/errors.ts';
import type { Plan, PlanTask } from '#contract/plan.ts';
import type { RunFacts } from '../state.ts';
import type { PrunedRuns } from './pruned-runs.ts';

/** The plan of a run; none where it was pruned with the run. Everything else is an error still. */
export async function planLeft(
  pruned: PrunedRuns,
  run: Pick<RunFacts, 'id'>,
  load: () => Promise<Plan>,
): Promise<Plan | undefined> {
  try {
    return await load();
  } catch (error) {
    const isGone = error instanceof OrchestraError && error.code === 'blob.unknown';
    if (isGone && pruned.find(run.id) !== undefined) return undefined;
    throw error;
  }
}

/** What the log alone knows of the tasks of a run: their names, in the order in which they began. */
export function tasksOnRecord(
  run: Pick<RunFacts, 'tasks'>,
): Pick<PlanTask, 'id' | 'title' | 'tool' | 'deps'>[] {
  return [...run.tasks.keys()].map((id) => ({ id, title: '', tool: '', deps: [] }));
}
