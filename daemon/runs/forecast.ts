import type { Digest } from '#contract/ids.ts';
import type { PlanForecast } from '#contract/forecast.ts';
import type { PlanTask } from '#contract/plan.ts';
import { Ancestry } from '../scheduler/ancestry.ts';
import { Outlook } from '../scheduler/eta.ts';
import { topological } from '../scheduler/graph.ts';
import type { Accepted } from './accept.ts';
import { actionOf } from './cache/action.ts';
import { lookUp } from './cache/reuse.ts';
import { seenSnapshot } from './cache/seen.ts';
import { actionFacts, isCacheable } from './cache/task-action.ts';
import type { RunsDeps } from './deps.ts';
import { planNeeds } from './provide.ts';
import { requestFor } from './slot.ts';

/**
 * Looks ahead: which tasks the cache has already, and how long the others took before. Runs nothing
 * and fetches nothing. What waits for a task that has to run is not known to be cached: what it sees
 * is not there yet.
 */
export async function forecast(
  deps: RunsDeps,
  { policy, image, made, about }: Pick<Accepted, 'policy' | 'image' | 'made' | 'about'>,
  { snapshot, concurrency, cache }: { snapshot: Digest; concurrency: number; cache: boolean },
  signal: AbortSignal,
): Promise<PlanForecast> {
  const { plan } = made;
  const ordered = topological(plan.tasks);
  const ancestry = new Ancestry(ordered);
  const needs = await planNeeds(deps, { runId: '', snapshot, plan, policy, about, image, signal });
  const packages = new Map(needs.map(({ cwd, list }) => [cwd, list.key]));
  const layers = new Map<string, Digest>();

  const layerOf = async (task: PlanTask): Promise<Digest | undefined> => {
    if (!cache || !isCacheable(task)) return undefined;
    const before = ancestry.of(task.id);
    if (before.some(({ id }) => !layers.has(id))) return undefined;
    const ancestors = before.flatMap(({ id, deps: theirs }) => {
      const layer = layers.get(id);
      return layer === undefined ? [] : [{ taskId: id, layer, deps: theirs }];
    });
    const seen = await seenSnapshot(deps.workspace, snapshot, task, signal);
    const { action } = actionOf(
      actionFacts({
        request: requestFor(deps, { policy, image, about }, task),
        stack: { ...seen, ancestors },
        packages: task.provisions.includes('npm') ? packages.get(task.cwd) : undefined,
      }),
    );
    return (await lookUp(deps, action, signal)).hit?.layer;
  };

  for (const task of ordered) {
    const layer = await layerOf(task);
    if (layer !== undefined) layers.set(task.id, layer);
  }
  const tasks = plan.tasks.map((task): PlanForecast['tasks'][number] => {
    const cached = layers.has(task.id);
    if (!deps.durations.knows(task)) return { id: task.id, cached };
    const { durations } = deps;
    const [p50_ms, p90_ms] = [durations.p50(task), durations.p90(task)].map(Math.round);
    return { id: task.id, cached, p50_ms, p90_ms };
  });
  const all = { tasks, cached: layers.size };
  if (!plan.tasks.some((task) => layers.has(task.id) || deps.durations.knows(task))) return all;
  const outlook = new Outlook(plan.tasks, (task) =>
    layers.has(task.id) ? 0 : deps.durations.p50(task),
  );
  return { ...all, makespan_ms: outlook.remainingMs(concurrency, () => 'waiting') };
}
