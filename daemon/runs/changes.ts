import type { ChangeSet } from '#contract/snapshot.ts';
import { topological } from '../scheduler/graph.ts';
import type { RunsDeps } from './deps.ts';
import type { Runs } from './runs.ts';

/** What the sealed layers of a run made of its snapshot. */
export async function changesOf(deps: RunsDeps, runs: Runs, reference: string): Promise<ChangeSet> {
  const run = runs.find(reference);
  const plan = await runs.planOf(run);
  const layers = topological(plan?.tasks ?? []).flatMap(({ id }) => {
    const task = run.tasks.get(id);
    return task?.state === 'succeeded' && task.layer !== undefined ? [task.layer] : [];
  });
  return deps.workspace.layers.changes(run.snapshot, layers);
}
