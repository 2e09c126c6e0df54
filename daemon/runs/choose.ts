import type { Plan } from '#contract/plan.ts';
import type { ContinueRun } from '#contract/run.ts';
import { OrchestraError } from '#contract/errors.ts';
import { dependentsOf, topological } from '../scheduler/graph.ts';
import type { RunFacts } from './state.ts';

/** What becomes of each task of an earlier run when somebody goes on from it. */
export type Choice = {
  /** Their results count; in the order of the plan. */
  kept: string[];
  rerun: string[];
  /** Not asked for: neither kept nor run. */
  left: string[];
  /** Of those that run: tasks with side effects that began before. */
  twice: string[];
  /** Of those that run: whatever ran before, these run anew. */
  fresh: string[];
};

/**
 * `resume` keeps what succeeded. `retry` runs one task anew with what depends on it and what it
 * still needs, and leaves the rest as it is. `fork` runs one task and everything behind it anew.
 */
export function chooseTasks(
  run: Pick<RunFacts, 'id' | 'tasks'>,
  plan: Pick<Plan, 'tasks'>,
  { mode, task }: Pick<ContinueRun, 'mode' | 'task'>,
): Choice {
  if (
    mode !== 'resume' &&
    mode !== 'replan' &&
    (task === undefined || plan.tasks.every(({ id }) => id !== task))
  ) {
    throw new OrchestraError('task.unknown', `${run.id} has no task ${task ?? ''}`, {
      hint: `orchestra show ${run.id}`,
    });
  }
  const isDone = (id: string) => {
    const state = run.tasks.get(id)?.state;
    return state === 'succeeded' || state === 'cached';
  };
  const anew =
    task === undefined || mode === 'resume' || mode === 'replan'
      ? new Set<string>()
      : behind(plan, task);
  const kept = new Set<string>();
  for (const { id, deps } of topological(plan.tasks)) {
    // What counts has to stand on what counts: over one that runs anew it would be of another
    // world. It runs as well, and is taken from the cache where nothing changed for it.
    if (isDone(id) && !anew.has(id) && deps.every((dep) => kept.has(dep))) kept.add(id);
  }
  const wanted = mode === 'retry' ? neededBy(plan, anew) : undefined;
  const ids = plan.tasks.map(({ id }) => id);
  const rerun = ids.filter((id) => !kept.has(id) && wanted?.has(id) !== false);
  const twice = plan.tasks
    .filter(({ id, sideEffects }) => sideEffects === true && rerun.includes(id))
    .filter(({ id }) => (run.tasks.get(id)?.attempt ?? 0) > 0)
    .map(({ id }) => id);
  const fresh = mode === 'fork' ? [...anew] : mode === 'retry' && task !== undefined ? [task] : [];
  return {
    kept: ids.filter((id) => kept.has(id)),
    rerun,
    left: ids.filter((id) => !kept.has(id) && wanted?.has(id) === false),
    twice,
    fresh,
  };
}

/** The task and everything that waits for it, however far. */
function behind(plan: Pick<Plan, 'tasks'>, task: string): Set<string> {
  const dependents = dependentsOf(plan.tasks);
  const found = new Set<string>();
  const open = [task];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (found.has(id)) continue;
    found.add(id);
    open.push(...(dependents.get(id) ?? []).map((next) => next.id));
  }
  return found;
}

function neededBy(plan: Pick<Plan, 'tasks'>, tasks: ReadonlySet<string>): Set<string> {
  const deps = new Map(plan.tasks.map((task) => [task.id, task.deps]));
  const found = new Set<string>();
  const open = [...tasks];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (found.has(id)) continue;
    found.add(id);
    open.push(...(deps.get(id) ?? []));
  }
  return found;
}
