import type { LimitName } from '#contract/run.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Log } from '../audit/types.ts';
import type { Clock } from '../base/clock.ts';
import type { Engine, Usage } from '../engine/engine.ts';
import type { Permit } from '../policy/permit.ts';
import type { OutputMask } from '../secrets/output-mask.ts';
import type { SecretFile } from '../secrets/run-secrets.ts';
import type { DiskWatch } from '../workspace/disk-watch.ts';
import type { DiskUse } from '../workspace/measure.ts';
import { Ending } from './ending.ts';
import { judgeExit, type Exceeded } from './judge.ts';
import { nameDiskFailure, watchLimits } from './limits.ts';
import { pumpOutput, type OutputSink } from './output.ts';
import { assertGiven } from './given.ts';
import { watchPeaks } from './peaks.ts';
import type { AskSlot, AtGate, ReadySlots } from './ready-slots.ts';
import { receiptEntries, type ReceiptFacts } from './receipt.ts';
import { recordExit } from './record.ts';
import { ofTheTask } from './usage-peaks.ts';
import { violationOf, type Violation } from './violation.ts';

export type SandboxDeps = {
  engine: Engine;
  slots: ReadySlots;
  log: Pick<Log, 'appendAll'>;
  clock: Clock;
  /** Between asking a task to end and killing it. */
  graceMs?: number;
  /** After a kill: how long until the engine counts as having failed. */
  killMs?: number;
  /** Keeps tasks to their share of the disk, where their layers lie on one of this machine. */
  disk?: DiskWatch;
};

export type SandboxRequest = {
  permit: Permit;
  /** Asks for a sandbox that waits for tasks like this one; left out, one is made for this task. */
  askSlot?: AskSlot;
  context: { run: string; task: string; attempt: number };
  output: OutputSink;
  /** Exactly what the permit's spec names, given at the release. */
  secrets?: readonly SecretFile[];
  mask?: OutputMask;
  /** What the receipt says beside the spec; runs always give it, and it is sealed before the start. */
  receipt?: ReceiptFacts;
  /** Cancels the task. What is done to clean up never depends on it. */
  signal: AbortSignal;
};

export type SandboxResult = {
  outcome: 'exited' | 'timed_out' | 'cancelled' | 'limit';
  /** Absent when the command never started. */
  exitCode?: number;
  /** The signal that ended it, where the exit code says so. */
  signal?: string;
  /** The limit that ended it, or that it ran into before it failed. */
  limit?: LimitName;
  exceeded?: Exceeded;
  /** It did what only an attack does. */
  violation?: Violation;
  /** What it left in its layers, where that can be measured. */
  disk?: DiskUse;
  /** Some process was killed for memory, though perhaps not the one that decided the exit code. */
  oomKilled: boolean;
  startedAt: string;
  durationMs: number;
  usage: Usage;
  /** Bytes given to the sink, without the remark that output was cut. */
  outputBytes: number;
  outputTruncated: boolean;
  /** What came beyond the limit until the task was dead. */
  outputDroppedBytes: number;
  stdoutBytes: number;
  stderrBytes: number;
};

/**
 * Runs one task in one container, and resolves only once every process of it is dead and its exit
 * is on record; its container is then on its way out. A task that fails is a result. Rejects where the engine,
 * the log or the sink failed; then too the container is removed as far as the engine answers.
 */
export async function runInSandbox(
  deps: SandboxDeps,
  request: SandboxRequest,
): Promise<SandboxResult> {
  const { signal } = request;
  if (signal.aborted) return neverStarted(deps.clock);
  await deps.disk?.space.assert('no task is started');
  const atGate = await letGo(deps, request);
  if (atGate === undefined) return neverStarted(deps.clock);
  try {
    return await runToEnd(deps, request, atGate);
  } finally {
    await retire(deps, request, atGate);
  }
}

/**
 * A sandbox with the task in it, or undefined where it was cancelled before. One that stood ready
 * may have lost its engine meanwhile: a task that could not be let go did not begin, and gets
 * another sandbox once.
 */
async function letGo(deps: SandboxDeps, request: SandboxRequest): Promise<AtGate | undefined> {
  for (let tries = 1; ; tries += 1) {
    const { permit, context, signal, secrets = [] } = request;
    const atGate = await deps.slots.open(permit, request.askSlot, context, signal);
    if (atGate === undefined) return undefined;
    try {
      if (!signal.aborted) {
        assertGiven(permit, secrets);
        const receipt = receiptEntries(request, atGate);
        await deps.engine.release(atGate.id, permit, context, { secrets, receipt });
        return atGate;
      }
    } catch (error) {
      await retire(deps, request, atGate);
      if (isOfEngine(error) && atGate.isSlot && tries === 1) continue;
      throw error;
    }
    await retire(deps, request, atGate);
    return undefined;
  }
}

function isOfEngine(error: unknown): boolean {
  const codes: readonly string[] = ['engine.unavailable', 'engine.failed'];
  return error instanceof OrchestraError && codes.includes(error.code);
}

async function retire(
  { slots }: SandboxDeps,
  { context: { task, attempt } }: SandboxRequest,
  atGate: AtGate,
): Promise<void> {
  await slots.retire(atGate, { task, attempt, why: 'over' });
}

async function runToEnd(
  deps: SandboxDeps,
  request: SandboxRequest,
  { id, attached }: AtGate,
): Promise<SandboxResult> {
  const { permit, context, output, mask, signal } = request;
  const { engine, clock } = deps;
  const { limits } = permit.spec;
  const monoAtStart = clock.mono();
  const startedAt = new Date(clock.now()).toISOString();
  using ending = new Ending(deps, id, context);
  using _timeout = ending.after(limits.timeoutMs, 'timeout');
  using _cancel = ending.when(signal, 'cancelled');
  using watch = watchLimits(permit.spec, { ending, disk: deps.disk, output });
  using peaks = watchPeaks(engine, id, (usage) => watch.onUsage(usage));
  // Masked before anything is counted or kept.
  const said = mask === undefined ? attached.output : mask.over(attached.output);
  const flow = pumpOutput(said, watch.sink, {
    limitBytes: limits.outputBytes,
    onLimit: () => ending.kill('output'),
    onFailure: () => ending.kill('failed'),
    onEnd: () => peaks.read(),
  });
  const ended = await ending.untilDead((until) => engine.wait(id, until));
  // A sandbox may have stood ready long before: the task's time is what counts.
  const durationMs = Math.round((clock.mono() - monoAtStart) / 1000);
  const exit = { ...ended, startedAt };
  const flowed = await ending.soon(flow, 'The output of a dead sandbox did not end');
  const usage = ofTheTask(await peaks.last(), permit.spec.runtime);
  const left = await watch.atEnd();
  const { cause } = ending;
  const outputBytes = flowed.stdoutBytes + flowed.stderrBytes;
  const judged = judgeExit({
    exit,
    cause,
    usage,
    limits,
    durationMs,
    ...left,
    outputBytes: outputBytes + flowed.droppedBytes,
  });
  await recordExit(deps.log, { id, context, exit, judged, cause, flowed, durationMs, limits });
  const failure = watch.failure() ?? flowed.failure;
  if (failure !== undefined) throw nameDiskFailure(failure);
  const violation = violationOf(judged);
  return {
    ...judged,
    ...(violation === undefined ? {} : { violation }),
    ...(left.disk === undefined ? {} : { disk: left.disk }),
    oomKilled: exit.oomKilled,
    startedAt,
    durationMs,
    usage,
    outputBytes,
    outputTruncated: flowed.truncated,
    outputDroppedBytes: flowed.droppedBytes,
    stdoutBytes: flowed.stdoutBytes,
    stderrBytes: flowed.stderrBytes,
  };
}

function neverStarted(clock: Clock): SandboxResult {
  return {
    outcome: 'cancelled',
    oomKilled: false,
    startedAt: new Date(clock.now()).toISOString(),
    durationMs: 0,
    usage: { memoryPeakBytes: 0, cpuMs: 0, forksRefused: 0 },
    outputBytes: 0,
    outputTruncated: false,
    outputDroppedBytes: 0,
    stdoutBytes: 0,
    stderrBytes: 0,
  };
}
