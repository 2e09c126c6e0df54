import type { PlanTask } from '#contract/plan.ts';
import type { AnyEntry } from '../audit/types.ts';
import { cutText } from '../base/text.ts';
import { dispatch } from '../scheduler/dispatch.ts';
import { Checkpoints } from './checkpoints.ts';
import type { RunsDeps } from './deps.ts';
import { isDone } from './kept.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';
import { expectTasks } from './slot.ts';
import { stopOf } from './stop.ts';
import { runTask } from './task.ts';

/**
 * Runs what is left of a run: everything, or what an earlier daemon or an earlier run did not do.
 * Resolves with what is to be recorded with the end of the run.
 */
export async function execute(deps: RunsDeps, run: AcceptedRun): Promise<AnyEntry[]> {
  const { signal } = run.controller;
  const checkpoints = new Checkpoints(deps, run);
  const begin = expectTasks(deps, run, run.concurrency);
  const unstarted = await dispatch({
    nodes: run.plan.tasks,
    concurrency: run.concurrency,
    slots: deps.slots,
    signal,
    execute: async (task) => {
      const over = endOf(deps, run, task);
      if (over !== undefined) return over;
      await run.pause.admit(signal);
      begin(task);
      const passed = await runTask(deps, run, task, signal);
      checkpoints.taskEnded();
      return passed || task.onFailure === 'continue';
    },
    skip: async (task, because) => {
      if (endOf(deps, run, task) !== undefined) return;
      await skip(deps, run, task, `${because} did not succeed`, because);
    },
  });
  for (const task of unstarted) {
    if (endOf(deps, run, task) !== undefined) continue;
    await skip(deps, run, task, stopOf(signal)?.message ?? 'the run was stopped');
  }
  return checkpoints.last();
}

/** Whether the way behind a task is open; undefined while it is not over. */
function endOf(deps: RunsDeps, run: AcceptedRun, task: PlanTask): boolean | undefined {
  const facts = deps.states.find(run.id)?.tasks.get(task.id);
  if (facts?.finishedAt === undefined) return undefined;
  return isDone(facts) || (task.onFailure === 'continue' && facts.state !== 'skipped');
}

async function skip(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  reason: string,
  because?: string,
): Promise<void> {
  await deps.log.append(
    taskEntry(run, task.id, {
      type: 'task.skipped',
      data: { reason: cutText(reason, 256), ...(because === undefined ? {} : { because }) },
    }),
  );
}
