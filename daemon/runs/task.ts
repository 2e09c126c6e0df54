import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import { limitSentence } from '#contract/limits.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { RecordData } from '#contract/records.ts';
import type { AnyEntry } from '../audit/types.ts';
import { canonicalJson, digestOf } from '../base/canonical.ts';
import { cutText } from '../base/text.ts';
import type { Permit } from '../policy/permit.ts';
import { npmCacheTarget, workspaceTarget, type Mount, type OverlayMount } from '../policy/spec.ts';
import { adoptSandbox, msFrozen } from '../sandbox/adopt.ts';
import type { SandboxControl } from '../sandbox/control.ts';
import { runInSandbox, type SandboxRequest, type SandboxResult } from '../sandbox/sandbox.ts';
import { OutputMask } from '../secrets/output-mask.ts';
import { violationSentence } from '../sandbox/violation.ts';
import type { OutputSink } from '../sandbox/output.ts';
import type { OutputTail } from '../sandbox/output-tail.ts';
import type { Turn } from '../scheduler/dispatch.ts';
import type { PreparedLayer, SealedLayer, Stack } from '../workspace/layers.ts';
import { hasDirectory } from '../workspace/view.ts';
import { collectOutputs } from './collect.ts';
import { blamed } from './failures/after-failure.ts';
import type { Leave } from './failures/circuits.ts';
import { continueOutput } from './continued-output.ts';
import { isDone } from './kept.ts';
import { isUnderWay } from './state.ts';
import { layerIdOf, type TakenOver } from './take-over.ts';
import { knownWork, plainWork, type Work } from './work.ts';
import type { RunsDeps } from './deps.ts';
import { awaitEngine, engineLoss } from './engine-loss.ts';
import { judgeFailure } from './judge-failure.ts';
import { layerLeftOut } from './left-out.ts';
import { hintsFor, overheard } from './hints.ts';
import { outputPath } from './left-output.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';
import { OutputFile } from './output.ts';
import { peaksOf } from './peaks.ts';
import { askSlot, componentOf, judgeSpec, requestFor } from './slot.ts';
import { grantSecrets, recordMasked } from './secrets.ts';
import { receiptFacts } from './receipt-facts.ts';
import { sandboxSpec, type SlotSpecRequest } from './spec.ts';
import { Stop, stopOf } from './stop.ts';
import { failpoint } from '../base/failpoints.ts';

type Ended = RecordData<'attempt.ended'>;
/** What is said of an attempt that is over, beside its number and how long it took. */
type Verdict = Pick<RecordData<'task.finished'>, 'outcome'> & Partial<Ended>;

/** One attempt that is over: its verdict, and what makes its layer count. */
type Attempt = {
  attempt: number;
  verdict: Verdict;
  sealed: AnyEntry[];
  output: Digest | undefined;
  durationMs: number;
  tail: OutputTail;
  /** Its command may have begun. */
  began: boolean;
  error: unknown;
};

/**
 * One task: what an earlier one with the same inputs left, or as many attempts as its failures and
 * their budgets allow. Resolves with whether it succeeded; a failed task is a result. Rejects only
 * where Orchestra itself cannot go on. `onBegin`: it is about to run, with all that it needs.
 */
export async function runTask(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  { turn, onBegin }: { turn: Turn; onBegin: () => void },
): Promise<boolean> {
  const { signal } = run.controller;
  const { finishedAt } = deps.states.find(run.id)?.tasks.get(task.id) ?? {};
  if (finishedAt !== undefined) return isPassed(deps, run, task);
  try {
    using work = await knownWork(deps, run, task, turn);
    if (work.isDone) return true;
    // What cannot be had ends the run: no other attempt of a task would find it.
    await work.provide();
    onBegin();
    return await attempts(deps, run, task, { turn, work });
  } catch (error) {
    const { state, attempt = 0 } = deps.states.find(run.id)?.tasks.get(task.id) ?? {};
    if (!signal.aborted || deps.log.blocked || isUnderWay({ state }) || isLeft(signal)) throw error;
    await deps.log.append(
      attempt === 0
        ? neverRan(run, task, signal)
        : cancelledBetween(run, task, { attempt }, signal),
    );
    return false;
  }
}

function isPassed(deps: RunsDeps, run: AcceptedRun, task: PlanTask): boolean {
  const facts = deps.states.find(run.id)?.tasks.get(task.id);
  return facts !== undefined && isDone(facts);
}

/**
 * Follows a task that an earlier daemon let go to its end. Afterwards it is over, or it goes on with
 * another attempt like any other. Rejects where nobody goes on with the run.
 */
export async function followTask(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  found: TakenOver,
): Promise<void> {
  const { signal } = run.controller;
  const { attempt = 1, action } = deps.states.find(run.id)?.tasks.get(task.id) ?? {};
  const work: Work = { ...(await plainWork(deps, run, task)), action };
  const request = requestFor(deps, run, task);
  using over = new Over();
  const at = { attempt, work, request, signal, found, over };
  await settle(deps, run, task, await runAttempt(deps, run, task, at));
}

/** Says that what came of an attempt is on record, or never will be. */
class Over implements Disposable {
  readonly #over = Promise.withResolvers<void>();
  readonly promise = this.#over.promise;

  [Symbol.dispose](): void {
    this.#over.resolve();
  }
}

async function attempts(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  { turn, work }: { turn: Turn; work: Work },
): Promise<boolean> {
  const { signal } = run.controller;
  for (;;) {
    const before = deps.states.find(run.id)?.tasks.get(task.id)?.attempt ?? 0;
    const request = requestFor(deps, run, task);
    const retryMs = await (async () => {
      using over = new Over();
      const ended = await withLeave(deps, run, task, { turn, request }, (leave) =>
        runAttempt(deps, run, task, { attempt: before + 1, work, request, leave, signal, over }),
      );
      return await settle(deps, run, task, ended);
    })();
    if (retryMs === undefined) return isPassed(deps, run, task);
    // Rejects where the run is stopped meanwhile.
    await turn.outside(() => sleep(retryMs, undefined, { signal }));
  }
}

/** Puts on record what became of an attempt; answers when another one comes, where one does. */
async function settle(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  ended: Attempt,
): Promise<number | undefined> {
  const { signal } = run.controller;
  if (ended.verdict.outcome === 'succeeded') {
    failpoint('before-task-finished');
    await deps.log.appendAll([...ended.sealed, finished(deps, run, task, ended)]);
    failpoint('after-task-finished');
    learn(deps, task, ended);
    return undefined;
  }
  if (isLeft(signal) && ended.verdict.outcome === 'cancelled' && task.sideEffects !== true) {
    await deps.log.append(attemptEnded(run, task, ended));
    // Neither a success nor a failure: what waits for this task waits on.
    throw signal.reason;
  }
  const { entries, retry } = judgeFailure(deps, run, task, {
    ended: wordsOf(run, ended),
    error: ended.error,
    tail: ended.tail,
    began: ended.began,
  });
  if (retry !== undefined) {
    await deps.log.appendAll([...entries, attemptEnded(run, task, ended), ...retry.entries]);
    return retry.afterMs;
  }
  await deps.log.appendAll([...entries, finished(deps, run, task, ended)]);
  if (ended.verdict.outcome === 'violated') {
    const reason = ended.verdict.reason ?? `${task.id} broke its sandbox`;
    run.controller.abort(new Stop('violated', reason));
  }
  return undefined;
}

/** Waits until the engine and the runtime of its sandbox are in order, and holds them to what they do. */
async function withLeave<R>(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  { turn, request }: { turn: Turn; request: SlotSpecRequest },
  work: (leave: Leave) => Promise<R>,
): Promise<R> {
  const { signal } = run.controller;
  const components = ['engine', componentOf(request.runtime)];
  const admit = () =>
    deps.circuits.admit(components, signal, (why) =>
      deps.log.append(taskEntry(run, task.id, { type: 'task.blocked', sev: 'warn', data: why })),
    );
  using leave = components.every((one) => deps.circuits.isFree(one))
    ? await admit()
    : await turn.outside(admit);
  return await work(leave);
}

/** What a task took says what it will take. */
function learn(deps: RunsDeps, task: PlanTask, { verdict, durationMs }: Attempt): void {
  deps.durations.note(task, durationMs);
  const { cpu_ms: cpuMs = 0, memory_peak_bytes: memoryPeakBytes = 0 } = verdict;
  deps.demands.note(task, { cpuMs, ms: durationMs, memoryPeakBytes });
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
async function runAttempt(
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

function finished(deps: RunsDeps, run: AcceptedRun, task: PlanTask, ended: Attempt): AnyEntry {
  const { outcome } = ended.verdict;
  const action = deps.states.find(run.id)?.tasks.get(task.id)?.action;
  const isFlaky = outcome === 'succeeded' && deps.flaky.hasFailed(action);
  return taskEntry(run, task.id, {
    type: 'task.finished',
    outcome: outcome === 'succeeded' ? 'ok' : 'failed',
    data: { ...wordsOf(run, ended), outcome, ...(isFlaky ? { flaky: true } : {}) },
  });
}

function attemptEnded(run: AcceptedRun, task: PlanTask, ended: Attempt): AnyEntry {
  return taskEntry(run, task.id, {
    type: 'attempt.ended',
    outcome: 'failed',
    data: wordsOf(run, ended),
  });
}

function wordsOf(run: AcceptedRun, { attempt, verdict, output, durationMs }: Attempt) {
  return {
    attempt,
    cpu_ms: 0,
    memory_peak_bytes: 0,
    output_bytes: 0,
    output_truncated: false,
    ...verdict,
    ...(verdict.reason === undefined ? {} : { reason: run.secrets.masked(verdict.reason) }),
    ...(output === undefined ? {} : { output }),
    duration_ms: durationMs,
  };
}

/** The next daemon goes on with the run. */
function isLeft(signal: AbortSignal): boolean {
  return stopOf(signal)?.kind === 'daemon_leaving';
}

function unknownNow(run: AcceptedRun, task: PlanTask, attempt: number): AnyEntry {
  const reason = 'the engine does not answer';
  return taskEntry(run, task.id, {
    type: 'attempt.unknown',
    outcome: 'unknown',
    sev: 'warn',
    data: { attempt, reason },
  });
}

function neverRan(run: AcceptedRun, task: PlanTask, signal: AbortSignal): AnyEntry {
  const reason = cutText(stopOf(signal)?.message ?? 'the run was stopped', 256);
  return taskEntry(run, task.id, { type: 'task.skipped', data: { reason } });
}

function cancelledBetween(
  run: AcceptedRun,
  task: PlanTask,
  { attempt }: Pick<Attempt, 'attempt'>,
  signal: AbortSignal,
): AnyEntry {
  return taskEntry(run, task.id, {
    type: 'task.finished',
    outcome: 'failed',
    data: {
      attempt,
      ...stopped(signal),
      duration_ms: 0,
      cpu_ms: 0,
      memory_peak_bytes: 0,
      output_bytes: 0,
      output_truncated: false,
    },
  });
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

type NpmLayer = Awaited<ReturnType<typeof prepareNpmCache>>;
type Common = Pick<
  SandboxRequest,
  'context' | 'output' | 'mask' | 'signal' | 'onRunning' | 'onRecord'
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

function overlayOn({ spec }: Permit, target: string): OverlayMount | undefined {
  const isOn = (mount: Mount): mount is OverlayMount =>
    mount.kind === 'overlay' && mount.target === target;
  return spec.mounts.find(isOn);
}

function sealedEntries(
  run: AcceptedRun,
  task: PlanTask,
  attempt: number,
  sealed: SealedLayer,
): AnyEntry[] {
  const { digest: layer, entries, bytes } = sealed;
  return [
    taskEntry(run, task.id, {
      type: 'layer.sealed',
      data: { attempt, layer, entries, bytes },
    }),
    ...layerLeftOut(run, task, { ...sealed, attempt }),
  ];
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

/** Judged again on the exact spec, at the moment of use; from here on the task counts as begun. */
async function askPolicy(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  {
    attempt,
    work,
    request,
    layer,
    npmCache,
  }: {
    attempt: number;
    work: Work;
    request: SlotSpecRequest;
    layer: PreparedLayer;
    npmCache: Awaited<ReturnType<typeof prepareNpmCache>>;
  },
): Promise<Permit> {
  const spec = sandboxSpec({
    ...request,
    runId: run.id,
    attempt,
    workspace: layer,
    npmCache,
  });
  const decision = judgeSpec(deps, run, task, spec);
  // Given away only once its record is durable.
  const permit = decision.allow ? deps.office.mint(spec) : undefined;
  const bytes = Buffer.from(permit?.spelled ?? canonicalJson(spec));
  const digest = permit?.digest ?? digestOf(spec);
  const stored = deps.blobs.put(bytes, { maxBytes: 1024 * 1024 });
  const reasons = decision.allow ? [] : decision.reasons.map((r) => `${r.rule}: ${r.message}`);
  const decided = taskEntry(run, task.id, {
    type: 'policy.decided',
    outcome: decision.allow ? 'ok' : 'denied',
    sev: decision.allow ? 'info' : 'alert',
    pol: {
      hash: run.policy.digest,
      rule: decision.allow ? 'all' : (decision.reasons[0]?.rule ?? ''),
    },
    data: {
      attempt,
      decision: decision.allow ? 'allow' : 'deny',
      spec: digest,
      reasons: reasons.slice(0, 64).map((reason) => cutText(reason, 512)),
    },
  });
  const started = taskEntry(run, task.id, {
    type: 'task.started',
    data: { attempt, spec: digest, ...(work.action === undefined ? {} : { action: work.action }) },
  });
  failpoint('before-task-started');
  const recorded = deps.log.appendAll(decision.allow ? [decided, started] : [decided]);
  await Promise.all([recorded, stored]);
  failpoint('after-task-started');
  if (permit === undefined) {
    throw new OrchestraError('policy.denied', `Policy denies ${task.id}: ${reasons.join('; ')}`);
  }
  return permit;
}

function judge(result: SandboxResult, task: PlanTask, signal: AbortSignal): Verdict {
  const facts: Omit<Verdict, 'outcome'> = {
    ...peaksOf(result),
    output_bytes: result.outputBytes,
    output_truncated: result.outputTruncated,
    ...(result.outputTruncated ? { output_dropped_bytes: result.outputDroppedBytes } : {}),
    ...(result.exitCode === undefined ? {} : { exit_code: result.exitCode }),
    ...(result.signal === undefined ? {} : { signal: result.signal }),
    ...(result.limit === undefined ? {} : { limit: result.limit }),
  };
  const { violation } = result;
  if (violation) return { ...facts, outcome: 'violated', reason: violationSentence(violation) };
  switch (result.outcome) {
    case 'exited':
      if (result.exitCode === 0) return { ...facts, outcome: 'succeeded' };
      return { ...facts, outcome: 'failed', reason: exitReason(result, task) };
    case 'timed_out':
      return {
        ...facts,
        outcome: 'timed_out',
        reason: result.exceeded ? limitSentence(result.exceeded) : 'took too long',
      };
    case 'limit':
      return {
        ...facts,
        outcome: 'failed',
        reason: result.exceeded ? limitSentence(result.exceeded) : 'went over a limit',
      };
    case 'cancelled':
      return { ...facts, ...stopped(signal) };
  }
}

function exitReason(result: SandboxResult, task: PlanTask): string {
  // A shell that is there exits with it for a program that is not.
  if (result.exitCode === 127) {
    return `exit 127: ${task.command[0] ?? ''}, or a program that it starts, is not in the image`;
  }
  return `exit ${result.exitCode ?? 'unknown'}`;
}

function stopped(signal: AbortSignal): Pick<Verdict, 'outcome' | 'reason'> {
  const stop = stopOf(signal);
  return {
    outcome: stop?.kind === 'timed_out' ? 'timed_out' : 'cancelled',
    reason: cutText(stop?.message ?? 'cancelled', 512),
  };
}

/** What went wrong around the task: its own fault or ours, in any case a result of this task. */
function verdictOf(error: unknown, signal: AbortSignal): Verdict {
  const isViolation = error instanceof OrchestraError && error.facts.exit === 4;
  if (signal.aborted && !isViolation) return stopped(signal);
  if (!(error instanceof OrchestraError)) throw error;
  const places = error.places.map((place) => place.message).join('; ');
  return {
    outcome: isViolation ? 'violated' : 'failed',
    reason: cutText(`${error.code}: ${error.message}${places === '' ? '' : ` (${places})`}`, 512),
  };
}
