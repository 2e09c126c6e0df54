import type { PlanTask } from '#contract/plan.ts';
import type { AnyEntry } from '../audit/types.ts';
import { cutText } from '../base/text.ts';
import { dispatch } from '../scheduler/dispatch.ts';
import { Outlook } from '../scheduler/eta.ts';
import { Checkpoints } from './checkpoints.ts';
import type { RunsDeps } from './deps.ts';
import { isDone } from './kept.ts';
import { expectedOf } from './expected.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';
import { Replanner } from './replan/replanner.ts';
import { askEarly, couldAsk } from './requests/clear.ts';
import { expectTasks } from './slot.ts';
import { stopOf } from './stop.ts';
import { followTask, runTask } from './task.ts';

/**
 * Runs what is left of a run: everything, or what an earlier daemon or an earlier run did not do.
 * Resolves with what is to be recorded with the end of the run.
 */
export async function execute(deps: RunsDeps, run: AcceptedRun): Promise<AnyEntry[]> {
  const { signal } = run.controller;
  const checkpoints = new Checkpoints(deps, run);
  let begun: ReturnType<typeof expectTasks> | undefined;
  tellOutlook(deps, run);
  run.people.use((isBusy) => couldBegin(deps, run, isBusy));
  await askAhead(deps, run);
  const following = follow(deps, run);
  const replanner = new Replanner(deps, run, async () => {
    tellOutlook(deps, run);
    await askAhead(deps, run);
  });
  await replanner.byHand();
  const unstarted = await dispatch({
    nodes: run.plan.tasks,
    over: endsOf(deps, run, replanner),
    concurrency: run.concurrency,
    slots: deps.slots,
    priority: run.priority,
    cost: (task) => deps.durations.p50(task),
    claim: (task) => deps.demands.claim(task),
    admit: (stop) =>
      replanner.admit()?.then(() => run.pause.admit(stop)) ??
      (run.pause.isOpen ? undefined : run.pause.admit(stop)),
    signal,
    execute: async (task, turn) => {
      replanner.begins(task);
      await following.get(task.id);
      const passed = await run.people.working(task.id, async () =>
        runTask(deps, run, task, {
          turn,
          // Not before: a run whose packages are refused, or that has all it needs, makes no sandbox.
          onBegin: () => (begun ??= expectTasks(deps, run, run.concurrency))(task),
        }),
      );
      checkpoints.taskEnded();
      if (passed || task.onFailure === 'continue') return true;
      const amended = await replanner.after(task, turn);
      return amended === undefined ? false : { amended };
    },
    skip: (task, because) => skip(deps, run, task, `${because} did not succeed`, because),
  });
  await Promise.all(following.values());
  await run.people.over({ left: stopOf(signal)?.kind === 'daemon_leaving' });
  if (stopOf(signal)?.kind === 'daemon_leaving') return [];
  for (const task of unstarted) {
    await skip(deps, run, task, stopOf(signal)?.message ?? 'the run was stopped');
  }
  return checkpoints.last();
}

/** Tasks of an earlier daemon, from now on whatever else waits: they are running. */
function follow(deps: RunsDeps, run: AcceptedRun): Map<string, Promise<void>> {
  const following = new Map<string, Promise<void>>();
  for (const task of run.plan.tasks) {
    const found = run.taken.get(task.id);
    if (found === undefined) continue;
    const followed = followTask(deps, run, task, found);
    // Whoever waits for it hears of it.
    followed.catch(() => {});
    following.set(task.id, followed);
  }
  return following;
}

/** Lets whoever looks at the run see how long it will take, where anything is known of its tasks. */
function tellOutlook(deps: RunsDeps, run: AcceptedRun): void {
  const { tasks } = run.plan;
  if (!tasks.some((task) => deps.durations.knows(task))) return;
  const outlook = new Outlook(tasks, (task) => deps.durations.p50(task));
  const facts = deps.states.find(run.id);
  run.live.etaMs = () =>
    outlook.remainingMs(run.concurrency, ({ id }) => {
      const task = facts?.tasks.get(id);
      if (task?.finishedAt !== undefined) return 'over';
      if (task?.state !== 'running') return 'waiting';
      const since = Date.parse(task.startedAt ?? '');
      return { runningMs: Math.max(0, deps.clock.now() - since) };
    });
}

/** The tasks that are over already: whether the way behind each is open. */
function endsOf(deps: RunsDeps, run: AcceptedRun, replanner: Replanner): Map<string, boolean> {
  const facts = deps.states.find(run.id);
  const ends = new Map<string, boolean>();
  for (const one of run.plan.tasks) {
    const { id, onFailure } = one;
    const task = facts?.tasks.get(id);
    // One that failed and for which nobody looked for another way yet has its turn once more.
    if (task?.finishedAt === undefined || replanner.isPending(one)) continue;
    ends.set(id, isDone(task) || (onFailure === 'continue' && task.state !== 'skipped'));
  }
  return ends;
}

/** Whether a task that nobody is at could begin as far as the plan goes; the machine may be busy. */
function couldBegin(deps: RunsDeps, run: AcceptedRun, isBusy: (task: string) => boolean): boolean {
  const tasks = deps.states.find(run.id)?.tasks;
  const isOver = (id: string) => tasks?.get(id)?.finishedAt !== undefined;
  return run.plan.tasks.some(
    ({ id, deps: before }) => !isBusy(id) && !isOver(id) && before.every(isOver),
  );
}

// Others get their turn at least so often.
const sliceMs = 10;

/**
 * Asks for leave for every task that needs it as soon as the plan is accepted: people can answer
 * while the tasks before it run. One that has questions first is asked for when they are answered.
 */
async function askAhead(deps: RunsDeps, run: AcceptedRun): Promise<void> {
  if (!couldAsk(run.policy)) return;
  const tasks = deps.states.find(run.id)?.tasks;
  let since = performance.now();
  for (const task of run.plan.tasks) {
    const isTold = task.questions === undefined && !run.taken.has(task.id);
    if (!isTold || tasks?.get(task.id)?.finishedAt !== undefined) continue;
    if (run.controller.signal.aborted) return;
    await askEarly(deps, run, task, expectedOf(deps, run, task));
    if (performance.now() - since < sliceMs) continue;
    await new Promise(setImmediate);
    since = performance.now();
  }
}

async function skip(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  reason: string,
  because?: string,
): Promise<void> {
  await deps.requests.withdraw(run.id, `${task.id} does not run`, task.id);
  await deps.log.append(
    taskEntry(run, task.id, {
      type: 'task.skipped',
      data: { reason: cutText(reason, 256), ...(because === undefined ? {} : { because }) },
    }),
  );
}
