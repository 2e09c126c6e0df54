import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestraError, type ErrorCode } from '#contract/errors.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { Turn } from '../scheduler/dispatch.ts';
import { cutText } from '../base/text.ts';
import { OutputTail } from '../sandbox/output-tail.ts';
import { expectedOf } from './expected.ts';
import type { Leave } from './failures/circuits.ts';
import { isDone } from './kept.ts';
import { isUnderWay } from './state.ts';
import type { TakenOver } from './take-over.ts';
import { knownWork, plainWork, type Work } from './work.ts';
import type { RunsDeps } from './deps.ts';
import { judgeFailure } from './judge-failure.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';
import { clear, couldAsk, grantFor, NotCleared } from './requests/clear.ts';
import { withAnswers } from './requests/questions.ts';
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
    const ready = await cleared(deps, run, task, turn);
    if (ready === undefined) return isPassed(deps, run, task);
    using work = await knownWork(deps, run, ready, turn);
    if (work.isDone) return true;
    // What cannot be had ends the run: no other attempt of a task would find it.
    await work.provide();
    onBegin();
    return await attempts(deps, run, ready, { turn, work });
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

/** The task with what people said of it; undefined where somebody said no, or nobody said anything. */
async function cleared(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  turn: Turn,
): Promise<PlanTask | undefined> {
  const { signal } = run.controller;
  const wait: Wait = (during) => run.people.waits(task.id, () => turn.outside(during));
  try {
    const told = await withAnswers(deps, run, task, { signal, wait });
    await untilAllowed(deps, run, told, wait);
    return told;
  } catch (error) {
    await recordRefused(deps, run, task, error);
    return undefined;
  }
}

type Wait = (during: () => Promise<void>) => Promise<void>;

/** Before anything is made for it: nobody holds a place on the machine while people think. */
async function untilAllowed(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  wait: Wait,
): Promise<void> {
  run.policy = deps.policies.today(run.policy);
  const judged = couldAsk(run.policy) ? expectedOf(deps, run, task) : undefined;
  if (judged?.judgement.effect !== 'ask') {
    await deps.requests.withdraw(run.id, 'no rule asks any more', task.id);
    return;
  }
  if (grantFor(deps, run, task, judged) !== undefined) return;
  await wait(() => clear(deps, run, task, judged, run.controller.signal));
}

const refusals: ReadonlySet<string> = new Set<ErrorCode>([
  'approval.denied',
  'approval.expired',
  'quota.exceeded',
]);

/** The last word of a task that was not let go; throws what is no refusal. */
async function recordRefused(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  error: unknown,
): Promise<void> {
  const isNo = error instanceof OrchestraError && refusals.has(error.code);
  if (!isNo || run.controller.signal.aborted) throw error;
  const { attempt = 0 } = deps.states.find(run.id)?.tasks.get(task.id) ?? {};
  const verdict = { outcome: 'failed' as const, reason: cutText(error.message, 512) };
  const ended: Attempt = {
    attempt,
    verdict,
    sealed: [],
    output: undefined,
    durationMs: 0,
    tail: new OutputTail(),
    began: false,
    error,
  };
  const { entries } = judgeFailure(deps, run, task, {
    ended: wordsOf(run, ended),
    error,
    tail: ended.tail,
    began: false,
  });
  await deps.log.appendAll([...entries, finished(deps, run, task, ended)]);
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
  const { actor } = deps.states.find(run.id) ?? {};
  for (;;) {
    try {
      if (actor !== undefined) await deps.quotas.assertTask(actor);
    } catch (error) {
      await recordRefused(deps, run, task, error);
      return false;
    }
    const before = deps.states.find(run.id)?.tasks.get(task.id)?.attempt ?? 0;
    const request = requestFor(deps, run, task);
    const retryMs = await (async () => {
      using over = new Over();
      const ended = await withLeave(deps, run, task, { turn, request }, (leave) =>
        runAttempt(deps, run, task, { attempt: before + 1, work, request, leave, signal, over }),
      );
      return await settle(deps, run, task, ended);
    })().catch((error: unknown) => {
      if (error instanceof NotCleared) return error;
      throw error;
    });
    if (retryMs instanceof NotCleared) {
      // What was judged now is not what people said yes to; nothing of the attempt is on record yet.
      const { judged } = retryMs;
      try {
        await run.people.waits(task.id, () =>
          turn.outside(() => clear(deps, run, task, judged, signal)),
        );
      } catch (error) {
        await recordRefused(deps, run, task, error);
        return false;
      }
      continue;
    }
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
