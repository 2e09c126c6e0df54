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
import type { SandboxControl } from './control.ts';
import { assertGiven } from './given.ts';
import type { Exceeded } from './judge.ts';
import type { OutputSink } from './output.ts';
import type { AskSlot, AtGate, ReadySlots } from './ready-slots.ts';
import { receiptEntries, type ReceiptFacts } from './receipt.ts';
import { runToEnd } from './run-to-end.ts';
import { TaskClock } from './task-clock.ts';
import type { Violation } from './violation.ts';

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
  /** Without a run for what the daemon itself wants to know. */
  context: { run?: string; task: string; attempt: number };
  output: OutputSink;
  /** Exactly what the permit's spec names, given at the release. */
  secrets?: readonly SecretFile[];
  mask?: OutputMask;
  /** What the receipt says beside the spec; runs always give it, and it is sealed before the start. */
  receipt?: ReceiptFacts;
  /**
   * Takes what the task left where only its engine sees it, when it is dead and did not fail; answers
   * what of it was written here, and whether that is more than the task may leave.
   */
  takeBack?: (
    tar: AsyncIterable<Uint8Array>,
    how: { allowance: DiskUse; signal: AbortSignal },
  ) => Promise<{ use: DiskUse; isOver: boolean }>;
  /** Called once, when the task was let go: what may be done to it until it is over. */
  onRunning?: (control: SandboxControl) => void;
  /**
   * Settles once what came of the task is on record. Until then its sandbox stays, dead: a daemon
   * that begins meanwhile finds in it that the task ran, and how it ended.
   */
  onRecord?: Promise<unknown>;
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
  /** Without the time in which it was frozen. */
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
    const startedAt = new Date(deps.clock.now()).toISOString();
    using time = new TaskClock();
    return await runToEnd(deps, request, { ...atGate, startedAt, time });
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

/** Takes the sandbox of a task that is over away, beside what follows. */
export async function retire(
  { slots }: SandboxDeps,
  { context: { task, attempt }, onRecord }: Pick<SandboxRequest, 'context' | 'onRecord'>,
  atGate: AtGate,
): Promise<void> {
  const away = async () => slots.retire(atGate, { task, attempt, why: 'over' });
  if (onRecord === undefined) await away();
  else onRecord.then(away, away).catch(() => {});
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
