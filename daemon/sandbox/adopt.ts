import type { LogRecord } from '#contract/records.ts';
import type { Limits } from '#contract/limits.ts';
import type { Clock } from '../base/clock.ts';
import type { Adopted, ContainerExit } from '../engine/engine.ts';
import type { Flowed } from './output.ts';
import { runToEnd, type TaskRequest } from './run-to-end.ts';
import { retire, type SandboxDeps, type SandboxResult } from './sandbox.ts';
import { TaskClock } from './task-clock.ts';

/** When a record was made, by all the clocks that it carries. */
export type Stamp = Pick<LogRecord, 'ts' | 'mono' | 'boot'>;

export type AdoptRequest = TaskRequest & {
  /** What `engine.adopt` gave for the same permit. */
  adopted: Adopted;
  /** The record of its release, with the result: from there on its time is counted. */
  released: Stamp;
  /** How long it stood still between then and now. */
  frozenMs?: number;
  /** What an earlier daemon kept of its output: counted along, for the limit too. */
  kept?: Pick<Flowed, 'stdoutBytes' | 'stderrBytes'>;
};

/**
 * Goes on with a task that an earlier daemon let go, as `runInSandbox` does from there on, with the
 * rest of its time. One that ended when no daemon was there gets its result from what the engine
 * says. Where the output may have lost something in between, `adopted.isOutputCut` says so.
 */
export async function adoptSandbox(
  deps: SandboxDeps,
  request: AdoptRequest,
): Promise<SandboxResult> {
  const { adopted, released, kept } = request;
  const { found } = adopted;
  const common = { id: adopted.id, attached: adopted.attached, startedAt: released.ts, kept };
  try {
    if (found === 'exited') {
      const exit = await deps.engine.wait(adopted.id);
      const passedMs = Math.max(0, endedAfterMs(exit, released) - (request.frozenMs ?? 0));
      using time = new TaskClock({ passedMs, isStopped: true });
      const cause = endedByItself(exit, passedMs, request.permit.spec.limits);
      // It is over: nobody can end it any more, for whatever reason.
      const { signal } = new AbortController();
      return await runToEnd(deps, { ...request, signal }, { ...common, time, cause });
    }
    const passedMs = Math.max(0, msSince(released, deps.clock) - (request.frozenMs ?? 0));
    const isFrozen = found === 'paused';
    using time = new TaskClock({ passedMs, isStopped: isFrozen });
    return await runToEnd(deps, request, { ...common, time, isFrozen });
  } finally {
    await retire(deps, request, { ...adopted, isSlot: false });
  }
}

/**
 * How long ago a record was made: by the clock that never goes back, which the daemons of one boot
 * share, else by the time of day.
 */
export function msSince({ ts, mono, boot }: Stamp, clock: Clock): number {
  const ms = boot === clock.boot ? (clock.mono() - mono) / 1000 : clock.now() - Date.parse(ts);
  return Math.max(0, ms);
}

/**
 * How long a container stood still until now, by the results of its `container.freeze` and
 * `container.thaw` in the order of the log.
 */
export function msFrozen(
  acts: readonly (Stamp & { type: 'container.freeze' | 'container.thaw' })[],
  clock: Clock,
): number {
  let ms = 0;
  let since: Stamp | undefined;
  for (const act of acts) {
    if (act.type === 'container.freeze') since ??= act;
    else if (since !== undefined) {
      ms += msSince(since, clock) - msSince(act, clock);
      since = undefined;
    }
  }
  return ms + (since === undefined ? 0 : msSince(since, clock));
}

/** By the engine's clock, which is this machine's time of day. */
function endedAfterMs({ finishedAt }: ContainerExit, released: Stamp): number {
  const ms = Date.parse(finishedAt) - Date.parse(released.ts);
  return Number.isFinite(ms) ? ms : 0;
}

const killed = 137;

/** A sandbox carries a deadline of its own, for when no daemon is there to end it. */
function endedByItself(
  { exitCode, oomKilled }: ContainerExit,
  passedMs: number,
  { timeoutMs }: Limits,
): 'timeout' | undefined {
  return exitCode === killed && !oomKilled && passedMs >= timeoutMs ? 'timeout' : undefined;
}
