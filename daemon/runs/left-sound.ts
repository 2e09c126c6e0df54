import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Plan } from '#contract/plan.ts';
import type { RunsDeps } from './deps.ts';
import { isDone } from './kept.ts';
import type { RunFacts } from './state.ts';

/**
 * Looks at the layers that what is left of a run stands on. One that was damaged or taken away while
 * no daemon was there would give other results than an unbroken run: then the run cannot go on, and
 * its resume has the task leave it anew. Throws `blob.damaged`.
 */
export async function assertLayersSound(
  deps: Pick<RunsDeps, 'workspace'>,
  run: RunFacts,
  plan: Pick<Plan, 'tasks'>,
  signal: AbortSignal,
): Promise<void> {
  const { layers } = deps.workspace;
  for (const [layer, task] of layersNeeded(run, plan)) {
    const { state } = await layers.check(layer, signal);
    if (state === 'sound') continue;
    if (state === 'damaged') layers.putAside(layer);
    throw new OrchestraError(
      'blob.damaged',
      `What ${task} left is ${state} since the last daemon ended`,
      { hint: `orchestra resume ${run.id}   makes it again` },
    );
  }
}

/** The layers below tasks that are not over, each with a task that left it. */
function layersNeeded(run: RunFacts, { tasks }: Pick<Plan, 'tasks'>): Map<Digest, string> {
  const depsOf = new Map(tasks.map(({ id, deps }) => [id, deps]));
  const isOver = (id: string) => run.tasks.get(id)?.finishedAt !== undefined;
  const seen = new Set<string>();
  const waiting = tasks.flatMap(({ id, deps }) => (isOver(id) ? [] : deps));
  const needed = new Map<Digest, string>();
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    const task = run.tasks.get(id);
    if (task?.layer !== undefined && isDone(task)) needed.set(task.layer, id);
    waiting.push(...(depsOf.get(id) ?? []));
  }
  return needed;
}
