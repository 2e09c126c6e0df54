import type { TaskReceipt } from '#contract/explain.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { LayerEntry } from '#contract/snapshot.ts';
import type { BlobStore } from '../../artifacts/blobs.ts';
import type { Workspace } from '../../workspace/open.ts';
import { isDone } from '../kept.ts';
import type { RunFacts, RunStates } from '../state.ts';
import { type ActionFacts, readAction } from './action.ts';
import { type Behind, differences } from './differences.ts';
import { isCacheable } from './task-action.ts';

type Deps = {
  states: Pick<RunStates, 'all'>;
  blobs: Pick<BlobStore, 'read'>;
  workspace: {
    snapshots: Pick<Workspace['snapshots'], 'entries'>;
    layers: Pick<Workspace['layers'], 'entries'>;
  };
};

type Asked = Pick<PlanTask, 'id' | 'secrets' | 'sideEffects'>;

const factsBytesMax = 8 * 1024 * 1024;
/** Runs that are looked through for one that did the same task. */
const runsMax = 1000;

/**
 * Why a task ran although an earlier run of the same workspace had done it: the first thing that was
 * different, in one sentence. `undefined` where it did not run, or where nobody had done it before.
 */
export async function explainChange(
  deps: Deps,
  run: RunFacts,
  task: Asked,
): Promise<TaskReceipt['differs']> {
  const facts = run.tasks.get(task.id);
  if (facts === undefined || facts.attempt === 0 || facts.from !== undefined) return undefined;
  const earlier = earlierRun(deps.states.all(), run, task.id);
  if (earlier === undefined) return undefined;
  const what = await whatDiffers(deps, { run, earlier, task });
  return what === undefined ? undefined : { since: earlier.id, what };
}

async function whatDiffers(
  deps: Deps,
  { run, earlier, task }: { run: RunFacts; earlier: RunFacts; task: Asked },
): Promise<string | undefined> {
  if (!isCacheable(task)) {
    const why = task.sideEffects === true ? 'it has side effects' : 'it has secrets';
    return `${why}, so it runs every time`;
  }
  if (!run.cache) return 'it was asked to run, whatever ran before';
  const before = earlier.tasks.get(task.id)?.action;
  const action = run.tasks.get(task.id)?.action;
  if (before === undefined || action === undefined) return undefined;
  if (before === action) {
    const { mode } = run.continues ?? {};
    const isAsked = mode === 'retry' || mode === 'fork';
    if (isAsked) return 'nothing differs; it was asked to run again';
    return 'nothing differs, but what it left then may not count, or is gone';
  }
  const [old, now] = await Promise.all([factsOf(deps, before), factsOf(deps, action)]);
  if (old === undefined || now === undefined) {
    return 'what it depended on then is not kept any more';
  }
  const [first, ...more] = differences(
    { facts: old, behind: await behindOf(deps, earlier, old.snapshot) },
    { facts: now, behind: await behindOf(deps, run, now.snapshot) },
  );
  return `${first ?? 'something'}${more.length === 0 ? '' : ` (and ${more.length} more)`}`;
}

/** The last run before this one, of the same workspace, in which the task was done. */
function earlierRun(all: readonly RunFacts[], run: RunFacts, task: string): RunFacts | undefined {
  const at = all.findLastIndex(({ id }) => id === run.id);
  for (let i = at - 1; i >= Math.max(0, at - runsMax); i -= 1) {
    const earlier = all[i];
    const done = earlier?.tasks.get(task);
    if (earlier?.workspace === run.workspace && done !== undefined && isDone(done)) return earlier;
  }
  return undefined;
}

async function factsOf({ blobs }: Deps, action: Digest): Promise<ActionFacts | undefined> {
  try {
    return readAction(await blobs.read(action, { maxBytes: factsBytesMax }));
  } catch (error) {
    if (error instanceof OrchestraError) return undefined;
    throw error;
  }
}

async function behindOf({ workspace }: Deps, run: RunFacts, snapshot: Digest): Promise<Behind> {
  const tasks = new Map<Digest, string>();
  for (const [id, { layer }] of run.tasks) if (layer !== undefined) tasks.set(layer, id);
  return {
    snapshot: await known(async () => workspace.snapshots.entries(snapshot)),
    taskOf: (layer) => tasks.get(layer),
    entriesOf: (layer) => knownNow(() => workspace.layers.entries(layer)),
  };
}

async function known(
  read: () => Promise<readonly LayerEntry[]>,
): Promise<readonly LayerEntry[] | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof OrchestraError) return undefined;
    throw error;
  }
}

function knownNow(read: () => readonly LayerEntry[]): readonly LayerEntry[] | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof OrchestraError) return undefined;
    throw error;
  }
}
