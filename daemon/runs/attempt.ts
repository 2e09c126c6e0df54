import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { AnyEntry } from '../audit/types.ts';
import { cutText } from '../base/text.ts';
import type { Permit } from '../policy/permit.ts';
import {
  isLayered,
  npmCacheTarget,
  workspaceTarget,
  type LayeredMount,
  type Mount,
} from '../policy/spec.ts';
import { adoptSandbox, msFrozen } from '../sandbox/adopt.ts';
import type { SandboxControl } from '../sandbox/control.ts';
import { runInSandbox, type SandboxRequest, type SandboxResult } from '../sandbox/sandbox.ts';
import { OutputMask } from '../secrets/output-mask.ts';
import type { OutputSink } from '../sandbox/output.ts';
import type { OutputTail } from '../sandbox/output-tail.ts';
import type { PreparedLayer, Stack } from '../workspace/layers.ts';
import type { DiskUse } from '../workspace/measure.ts';
import { hasDirectory } from '../workspace/view.ts';
import { collectOutputs } from './collect.ts';
import { blamed } from './failures/after-failure.ts';
import type { Leave } from './failures/circuits.ts';
import { continueOutput } from './continued-output.ts';
import { layerIdOf, type TakenOver } from './take-over.ts';
import type { Work } from './work.ts';
import type { RunsDeps } from './deps.ts';
import { awaitEngine, engineLoss } from './engine-loss.ts';
import { hintsFor, overheard } from './hints.ts';
import { outputPath } from './left-output.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';
import { OutputFile } from './output.ts';
import { askSlot } from './slot.ts';
import { grantSecrets, recordMasked } from './secrets.ts';
import { receiptFacts } from './receipt-facts.ts';
import type { SlotSpecRequest } from './spec.ts';
import { judge, verdictOf, type Verdict } from './verdict.ts';
import { NotCleared } from './requests/clear.ts';
import { sealedEntries, unknownNow, type Attempt } from './attempt-records.ts';
import { askPolicy, type NpmLayer } from './ask-policy.ts';

/** Says that what came of an attempt is on record, or never will be. */
export class Over implements Disposable {
  readonly #over = Promise.withResolvers<void>();
  readonly promise = this.#over.promise;

  [Symbol.dispose](): void {
    this.#over.resolve();
  }
}

type AttemptAt = {
  attempt: number;
  work: Work;
  request: SlotSpecRequest;
  leave?: Leave;
  signal: AbortSignal;
  over: Over;
  /** It runs already: an earlier daemon let it go. */
  found?: TakenOver;
};

/**
 * One attempt, as a transaction: a layer of its own over what came before, sealed when it succeeds,
 * dropped when it does not.
 */
export async function runAttempt(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  { attempt, work, request, leave, signal, over, found }: AttemptAt,
): Promise<Attempt> {
  const startedAt = performance.now();
  const path = outputPath(deps.stateDir, run.id, task.id);
  const continued = found && (await continueOutput(path, found.adopted.isOutputCut));
  await using output = continued?.output ?? (await OutputFile.create(path));
  run.outputs.set(task.id, output);
  const { sink, tail } = overheard(output);
  const common = { attempt, work, request, leave, output, sink, tail, signal, over };
  const at: At = { ...common, began: found !== undefined, found, kept: continued?.kept };
  let verdict: Verdict;
  let sealed: AnyEntry[] = [];
  let stored: Digest | undefined;
  let failure: unknown;
  try {
    await awaitEngine(deps.engineWatch, run);
    ({ verdict, sealed } = await inLayer(deps, run, task, at));
    stored = await output.keep(deps.blobs);
  } catch (error) {
    if (deps.log.blocked) throw deps.log.blocked;
    if (error instanceof NotCleared) {
      run.outputs.delete(task.id);
      await output.remove();
      throw error;
    }
    failure = error;
    sealed = [];
    const lost = await engineLoss(deps.engineWatch, run, error, () =>
      deps.log.append(unknownNow(run, task, attempt)),
    );
    const component = blamed(error, lost === undefined ? request.runtime : undefined);
    if (component !== undefined && !signal.aborted) leave?.failed(component);
    verdict = lost ?? verdictOf(error, signal);
    // Where the disk is full even this fails: the verdict counts, and it says why.
    stored = await output.keep(deps.blobs).catch(() => undefined);
  }
  run.outputs.delete(task.id);
  await output.remove();
  // Of one that was taken over, the time here is only the rest.
  const durationMs = Math.max(Math.round(performance.now() - startedAt), at.ranMs ?? 0);
  const { began } = at;
  return { attempt, verdict, sealed, output: stored, durationMs, tail, began, error: failure };
}

async function inLayer(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  at: At,
): Promise<{ verdict: Verdict; sealed: AnyEntry[] }> {
  const { attempt, output, signal } = at;
  const layer =
    at.found === undefined
      ? await deps.workspace.layers.prepare(at.work.stack, signal)
      : layerOf(at.found, at.work.stack);
  let dropBecause: string | undefined = 'the attempt could not go on';
  try {
    const verdict = await workIn(deps, run, task, at, layer);
    if (verdict.outcome !== 'succeeded') {
      dropBecause = verdict.reason ?? verdict.outcome;
      return { verdict, sealed: [] };
    }
    // Beside it; whoever needs it waits for it, and learns why it could not be.
    output.keep(deps.blobs).catch(() => {});
    const sealed = await deps.workspace.layers.seal(layer);
    // Named by its digest from here on, and perhaps another run's as well.
    dropBecause = undefined;
    return { verdict, sealed: sealedEntries(run, task, attempt, sealed) };
  } catch (error) {
    if (error instanceof OrchestraError) dropBecause = error.code;
    throw error;
  } finally {
    if (dropBecause !== undefined) {
      await dropLayer(deps, run, task, { layer, attempt, reason: dropBecause });
    }
  }
}

/** What a task does with its layer; whether that is worth keeping is the verdict. */
async function workIn(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  at: At,
  layer: PreparedLayer,
): Promise<Verdict> {
  const { attempt, sink, tail, signal, found, over } = at;
  if (!found && !hasDirectory([layer.upper, ...layer.lower], task.cwd)) {
    return { outcome: 'failed', reason: `there is no directory ${task.cwd} in the workspace` };
  }
  const npmCache = found === undefined ? await prepareNpmCache(deps, run, task) : npmCacheOf(found);
  let unwatch = () => {};
  const mask = new OutputMask(run.secrets.automaton);
  const common = {
    context: { run: run.id, task: task.id, attempt },
    output: sink,
    mask,
    signal,
    onRecord: over.promise,
    takeBack: async (
      tar: AsyncIterable<Uint8Array>,
      how: { allowance: DiskUse; signal: AbortSignal },
    ) => deps.workspace.layers.readBack(layer, tar, how),
    onRunning: (control: SandboxControl) => {
      unwatch = run.pause.watch(control, found?.adopted.found === 'paused');
    },
  };
  try {
    const result =
      found === undefined
        ? await startSandbox(deps, run, task, at, { layer, npmCache, common })
        : await adoptSandbox(deps.sandbox, {
            ...common,
            permit: found.permit,
            adopted: found.adopted,
            released: found.released.at,
            frozenMs: msFrozen(found.released.froze, deps.clock),
            ...(at.kept === undefined ? {} : { kept: at.kept }),
          });
    at.ranMs = result.durationMs;
    if (result.outcome !== 'cancelled') at.leave?.worked();
    await recordMasked(deps, run, task, { attempt, mask });
    const verdict = judge(result, task, signal);
    if (verdict.outcome !== 'succeeded')
      return { ...verdict, ...(await hintsFor(deps.blobs, tail)) };
    const missing = await collectOutputs(deps, run, task, layer);
    return missing === undefined ? verdict : { ...verdict, outcome: 'failed', reason: missing };
  } finally {
    unwatch();
    if (npmCache) await deps.workspace.layers.drop(npmCache);
  }
}

type Common = Pick<
  SandboxRequest,
  'context' | 'output' | 'mask' | 'signal' | 'takeBack' | 'onRunning' | 'onRecord'
>;

async function startSandbox(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  at: At,
  {
    layer,
    npmCache,
    common,
  }: {
    layer: PreparedLayer;
    npmCache: NpmLayer;
    common: Common;
  },
): Promise<SandboxResult> {
  const permit = await askPolicy(deps, run, task, { ...at, layer, npmCache });
  const secrets = await grantSecrets(deps, run, task, at.attempt);
  at.began = true;
  return runInSandbox(deps.sandbox, {
    ...common,
    permit,
    askSlot: askSlot(deps, run, task),
    receipt: receiptFacts(deps, run, layer),
    secrets,
  });
}

/** The layer that a task of an earlier daemon writes to. */
function layerOf({ permit }: TakenOver, stack: Stack): PreparedLayer {
  const mount = overlayOn(permit, workspaceTarget);
  if (mount === undefined) throw new OrchestraError('internal.bug', 'a task without a workspace');
  const { lower, upper, work } = mount;
  return { id: layerIdOf(mount), stack, lower: [...lower], upper, work, options: '' };
}

function npmCacheOf({ permit }: TakenOver): NpmLayer {
  const mount = overlayOn(permit, npmCacheTarget);
  if (mount === undefined) return undefined;
  const { lower, upper, work } = mount;
  return { id: layerIdOf(mount), lower: [...lower], upper, work };
}

function overlayOn({ spec }: Permit, target: string): LayeredMount | undefined {
  const isOn = (mount: Mount): mount is LayeredMount => isLayered(mount) && mount.target === target;
  return spec.mounts.find(isOn);
}

/** On record before it is gone. With a blocked log it stays, and the next start sweeps it. */
async function dropLayer(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  { layer, attempt, reason }: { layer: PreparedLayer; attempt: number; reason: string },
): Promise<void> {
  if (deps.log.blocked) return;
  await deps.log.append(
    taskEntry(run, task.id, {
      type: 'layer.dropped',
      data: { attempt, reason: cutText(run.secrets.masked(reason), 256) },
    }),
  );
  await deps.workspace.layers.drop(layer);
}

/** Where an attempt is made, and how far it has come. */
type At = {
  attempt: number;
  work: Work;
  request: SlotSpecRequest;
  leave: Leave | undefined;
  output: OutputFile;
  sink: OutputSink;
  tail: OutputTail;
  signal: AbortSignal;
  over: Over;
  began: boolean;
  found: TakenOver | undefined;
  kept: { stdoutBytes: number; stderrBytes: number } | undefined;
  /** How long its sandbox ran, under every daemon. */
  ranMs?: number;
};

async function prepareNpmCache(deps: RunsDeps, run: AcceptedRun, task: PlanTask) {
  const cache = task.provisions.includes('npm') ? run.npmCaches.get(task.cwd) : undefined;
  return cache === undefined ? undefined : deps.workspace.layers.scratch(await cache.dir());
}
