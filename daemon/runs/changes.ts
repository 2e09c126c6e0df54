import { OrchestraError } from '#contract/errors.ts';
import type { ChangeSet } from '#contract/snapshot.ts';
import { topological } from '../scheduler/graph.ts';
import type { RunsDeps } from './deps.ts';
import { isDone } from './kept.ts';
import type { Runs } from './runs.ts';

/** What the sealed layers of a run made of its snapshot. */
export async function changesOf(deps: RunsDeps, runs: Runs, reference: string): Promise<ChangeSet> {
  const run = runs.find(reference);
  const plan = await runs.planOf(run);
  if (plan === undefined && run.plan !== undefined) {
    throw new OrchestraError('blob.unknown', `The plan of ${run.id} is gone`);
  }
  const layers = topological(plan?.tasks ?? []).flatMap(({ id }) => {
    const task = run.tasks.get(id);
    return task?.layer !== undefined && isDone(task) ? [task.layer] : [];
  });
  return deps.workspace.layers.changes(run.snapshot, layers);
}
