import type { Log } from '../audit/types.ts';
import type { Clock } from '../base/clock.ts';
import type { Engine, Secret, Usage } from '../engine/engine.ts';
import type { Permit } from '../policy/permit.ts';
import { Ending } from './ending.ts';
import { judgeExit } from './judge.ts';
import { pumpOutput, type OutputSink } from './output.ts';
import { watchPeaks } from './peaks.ts';
import type { AskSlot, AtGate, ReadySlots } from './ready-slots.ts';
import { recordExit } from './record.ts';

export type SandboxDeps = {
  engine: Engine;
  slots: ReadySlots;
  log: Pick<Log, 'appendAll'>;
  clock: Clock;
  /** Between asking a task to end and killing it. */
  graceMs?: number;
  /** After a kill: how long until the engine counts as having failed. */
  killMs?: number;
};

export type SandboxRequest = {
  permit: Permit;
  /** Asks for a sandbox that waits for tasks like this one; left out, one is made for this task. */
  askSlot?: AskSlot;
  /** Files of this task alone; their names are in the permit. */
  secrets?: readonly Secret[];
  context: { run: string; task: string; attempt: number };
  output: OutputSink;
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
  limit?: 'timeout' | 'memory' | 'output' | 'pids' | 'file_size';
  /** Some process was killed for memory, though perhaps not the one that decided the exit code. */
  oomKilled: boolean;
  startedAt: string;
  durationMs: number;
  usage: Usage;
  /** Bytes given to the sink, without the remark that output was cut. */
  outputBytes: number;
  outputTruncated: boolean;
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
  const { permit, context, signal } = request;
  if (signal.aborted) return neverStarted(deps.clock);
  const atGate = await deps.slots.open(permit, request.askSlot, context, signal);
  if (atGate === undefined) return neverStarted(deps.clock);
  try {
    if (signal.aborted) return neverStarted(deps.clock);
    return await runToEnd(deps, request, atGate);
  } finally {
    await deps.slots.retire(atGate, { task: context.task, attempt: context.attempt, why: 'over' });
  }
}

async function runToEnd(
  deps: SandboxDeps,
  { permit, context, output, signal, secrets }: SandboxRequest,
  { id, attached }: AtGate,
): Promise<SandboxResult> {
  const { engine, clock } = deps;
  const { limits } = permit.spec;
  const monoAtStart = clock.mono();
  await engine.release(id, permit, context, secrets);
  using ending = new Ending(deps, id, context);
  using _timeout = ending.after(limits.timeoutMs, 'timeout');
  using _cancel = ending.when(signal, 'cancelled');
  using peaks = watchPeaks(engine, id);
  const flow = pumpOutput(attached.output, output, {
    limitBytes: limits.outputBytes,
    onLimit: () => ending.kill('output'),
    onFailure: () => ending.kill('failed'),
    onEnd: () => peaks.read(),
  });
  const exit = await ending.untilDead((until) => engine.wait(id, until));
  const flowed = await ending.soon(flow, 'The output of a dead sandbox did not end');
  const usage = await peaks.last();
  const judged = judgeExit({ exit, cause: ending.cause, usage, limits });
  const startedAt = exit.startedAt;
  const durationMs = durationOf(exit, (clock.mono() - monoAtStart) / 1000);
  await recordExit(deps.log, { id, context, exit, judged, flowed, durationMs, limits });
  if (flowed.failure !== undefined) throw flowed.failure;
  return {
    ...judged,
    oomKilled: exit.oomKilled,
    startedAt,
    durationMs,
    usage,
    outputBytes: flowed.stdoutBytes + flowed.stderrBytes,
    outputTruncated: flowed.truncated,
    stdoutBytes: flowed.stdoutBytes,
    stderrBytes: flowed.stderrBytes,
  };
}

function durationOf(
  { startedAt, finishedAt }: { startedAt: string; finishedAt: string },
  measuredMs: number,
): number {
  const said = Date.parse(finishedAt) - Date.parse(startedAt);
  return Math.round(said >= 0 ? said : Math.max(0, measuredMs));
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
    stdoutBytes: 0,
    stderrBytes: 0,
  };
}
