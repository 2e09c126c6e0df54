import { setTimeout as sleep } from 'node:timers/promises';
import type { PlanTask } from '#contract/plan.ts';
import type { Turn } from '../scheduler/dispatch.ts';
import type { Leave } from './failures/circuits.ts';
import { isDone } from './kept.ts';
import { isUnderWay } from './state.ts';
import type { TakenOver } from './take-over.ts';
import { knownWork, plainWork, type Work } from './work.ts';
import type { RunsDeps } from './deps.ts';
import { judgeFailure } from './judge-failure.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';
import { componentOf, requestFor } from './slot.ts';
import type { SlotSpecRequest } from './spec.ts';
import { Stop } from './stop.ts';
import { failpoint } from '../base/failpoints.ts';
import {
  attemptEnded,
  cancelledBetween,
  finished,
  isLeft,
  neverRan,
  wordsOf,
  type Attempt,
} from './attempt-records.ts';
import { Over, runAttempt } from './attempt.ts';

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
