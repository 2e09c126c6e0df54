import type { Digest } from '#contract/ids.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { Turn } from '../scheduler/dispatch.ts';
import type { Stack } from '../workspace/layers.ts';
import { actionOf } from './cache/action.ts';
import type { Flight } from './cache/flights.ts';
import { lookUp } from './cache/reuse.ts';
import { seenSnapshot } from './cache/seen.ts';
import { actionFacts, isCacheable } from './cache/task-action.ts';
import type { RunsDeps } from './deps.ts';
import { reusedEntries } from './kept.ts';
import type { AcceptedRun, NpmCache } from './open-run.ts';
import { requestFor } from './slot.ts';

/** What a task is going to see and do, known before it does. */
export type Work = {
  stack: Stack;
  /** The key of everything that could make a difference; none where nothing may be kept of it. */
  action: Digest | undefined;
  provide(): Promise<void>;
};

const factsBytesMax = 8 * 1024 * 1024;

/**
 * What there is to do for a task, or that it is done: an earlier task with the same key left what
 * this one would. Of equal ones at the same time one is done; the others wait for it, and hold no
 * place on the machine meanwhile. Dispose of it when the task is over.
 */
export async function knownWork(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  turn: Turn,
): Promise<Work & Disposable & { isDone: boolean }> {
  const { signal } = run.controller;
  const { stack, provide, npmCache } = await plainWork(deps, run, task);
  const nothing = { stack, provide, isDone: false, [Symbol.dispose]: () => {} };
  if (!isCacheable(task)) return { ...nothing, action: undefined };
  const request = requestFor(deps, run, task);
  const { action, bytes } = actionOf(actionFacts({ request, stack, packages: npmCache?.packages }));
  await deps.blobs.put(bytes, { maxBytes: factsBytesMax, isRemade: true });
  if (!run.cache || run.fresh.has(task.id)) return { ...nothing, action };
  const flight: Flight = await turn.outside(() => deps.flights.enter(action, signal));
  const release = { [Symbol.dispose]: () => flight.release() };
  try {
    const { hit } = await lookUp(deps, action, signal);
    if (hit === undefined) return { ...nothing, action, ...release };
    await deps.log.appendAll(reusedEntries(run, task.id, { ...hit, action }, 'cache'));
    return { ...nothing, action, isDone: true, ...release };
  } catch (error) {
    flight.release();
    throw error;
  }
}

/** What a task sees, whether or not somebody did the same before. */
export async function plainWork(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
): Promise<Omit<Work, 'action'> & { npmCache: NpmCache | undefined }> {
  const { signal } = run.controller;
  const seen = await seenSnapshot(deps.workspace, run.snapshot, task, signal);
  const stack = { ...seen, ancestors: ancestorLayers(deps, run, task) };
  const npmCache = task.provisions.includes('npm') ? run.npmCaches.get(task.cwd) : undefined;
  return { stack, npmCache, provide: async () => void (await npmCache?.dir()) };
}

function ancestorLayers(deps: RunsDeps, run: AcceptedRun, task: PlanTask): Stack['ancestors'] {
  const facts = deps.states.find(run.id);
  // Of thousands of tasks that only looked, none has to be asked.
  if (facts?.leftSomething !== true) return [];
  return run.ancestry.of(task.id).flatMap(({ id, deps: before }) => {
    const layer = facts.tasks.get(id)?.layer;
    return layer === undefined ? [] : [{ taskId: id, layer, deps: before }];
  });
}
