import type { Engine } from '../engine/engine.ts';
import { workspaceTarget } from '../policy/spec.ts';
import type { DiskUse } from '../workspace/measure.ts';
import { controlOf } from './control.ts';
import { Ending, type Cause } from './ending.ts';
import { judgeExit } from './judge.ts';
import { nameDiskFailure, watchLimits } from './limits.ts';
import { pumpOutput, type Flowed } from './output.ts';
import { watchPeaks } from './peaks.ts';
import type { AtGate } from './ready-slots.ts';
import { recordExit } from './record.ts';
import type { SandboxDeps, SandboxRequest, SandboxResult } from './sandbox.ts';
import type { TaskClock } from './task-clock.ts';
import { ofTheTask } from './usage-peaks.ts';
import { violationOf } from './violation.ts';

export type TaskRequest = Omit<SandboxRequest, 'askSlot' | 'secrets' | 'receipt'>;

/** A task that was let go. */
export type Running = Pick<AtGate, 'id' | 'attached'> & {
  startedAt: string;
  /** What has passed of its time. */
  time: TaskClock;
  isFrozen?: boolean;
  /** What was kept of its output before. */
  kept?: Pick<Flowed, 'stdoutBytes' | 'stderrBytes'> | undefined;
  /** Why it ended, where that was before anybody of this daemon could end it. */
  cause?: Cause | undefined;
};

/** From the release on: until every process of the task is dead and its exit is on record. */
export async function runToEnd(
  deps: SandboxDeps,
  request: TaskRequest,
  running: Running,
): Promise<SandboxResult> {
  const { permit, context, output, mask, signal } = request;
  const { engine } = deps;
  const { id, attached, startedAt, time } = running;
  const { limits } = permit.spec;
  using ending = new Ending(deps, id, context);
  using _timeout = time.after(limits.timeoutMs - time.ms, () => ending.ask('timeout'));
  using _cancel = ending.when(signal, 'cancelled');
  using watch = watchLimits(permit.spec, { ending, time, disk: deps.disk, output });
  using peaks = watchPeaks(engine, id, (usage) => watch.onUsage(usage));
  // Masked before anything is counted or kept.
  const said = mask === undefined ? attached.output : mask.over(attached.output);
  const flow = pumpOutput(said, watch.sink, {
    limitBytes: limits.outputBytes,
    kept: running.kept,
    onLimit: () => ending.kill('output'),
    onFailure: () => ending.kill('failed'),
    onEnd: () => peaks.read(),
  });
  const control = controlOf(engine, { id, context, time, isFrozen: running.isFrozen === true });
  request.onRunning?.(control);
  const ended = await ending.untilDead((until) => engine.wait(id, until));
  control.over();
  // A sandbox may have stood ready long before: the task's time is what counts.
  const durationMs = Math.round(time.ms);
  const exit = { ...ended, startedAt };
  const flowed = await ending.soon(flow, 'The output of a dead sandbox did not end');
  const usage = ofTheTask(await peaks.last(), permit.spec.runtime);
  const cause = ending.cause ?? running.cause;
  const isWanted = cause === undefined && exit.exitCode === 0;
  const back = isWanted ? await takeBack(engine, request, id) : {};
  const left = withBack(await watch.atEnd(), back.use);
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
  const failure = watch.failure() ?? flowed.failure ?? back.failure;
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

/**
 * What the task left, where only its engine sees it. Nobody wants that of a task that failed; and why
 * it cannot be had is told once the exit is on record.
 */
async function takeBack(
  engine: Engine,
  { permit: { spec }, takeBack: take, signal }: TaskRequest,
  id: string,
): Promise<{ use?: DiskUse; failure?: unknown }> {
  const isCopy = spec.mounts.some(
    ({ kind, target }) => kind === 'volume' && target === workspaceTarget,
  );
  if (!isCopy || take === undefined) return {};
  const { diskBytes: bytes, diskFiles: files } = spec.limits;
  try {
    const tar = await engine.readBack(id, workspaceTarget);
    const { use } = await take(tar, { allowance: { bytes, files }, signal });
    return { use };
  } catch (failure) {
    return { failure };
  }
}

/** The most that was seen: what was written here, or what it takes on the disk. */
function withBack<L extends { disk?: DiskUse }>(left: L, use: DiskUse | undefined): L {
  if (use === undefined) return left;
  const { bytes = 0, files = 0 } = left.disk ?? {};
  const disk = { bytes: Math.max(bytes, use.bytes), files: Math.max(files, use.files) };
  return { ...left, disk };
}
