import { OrchestraError } from '#contract/errors.ts';
import type { RunsDeps } from './deps.ts';
import type { Runs } from './runs.ts';
import type { RunFacts } from './state.ts';

type Request = { run: string; task: string; follow: boolean; signal: AbortSignal };

/**
 * What a task wrote, as frames (`contract/output-frames.ts`); nothing where it has not started.
 * Followed, it waits for the plan and for the task, and ends with the run at the latest.
 */
export async function outputOf(
  runs: Runs,
  deps: RunsDeps,
  { run: reference, task, follow, signal }: Request,
): Promise<AsyncIterable<Uint8Array>> {
  const run = runs.find(reference);
  await assertOutput(deps, run, task);
  const mayCome = () => follow && run.plan === undefined && run.closedAt === undefined;
  if (!mayCome()) await assertTask(runs, run, task);
  return frames();

  async function* frames(): AsyncGenerator<Uint8Array, void, undefined> {
    // Heard from before the first look, so that nothing comes to pass between look and wait.
    const records = deps.log.follow({ run: run.id, from: deps.log.size, signal });
    try {
      for (;;) {
        const growing = runs.open(run.id)?.outputs.get(task);
        if (growing) {
          yield* follow ? growing.follow(signal) : growing.soFar();
          return;
        }
        const digest = run.tasks.get(task)?.output;
        if (digest !== undefined) {
          yield* await deps.blobs.open(digest);
          return;
        }
        if (!follow || run.closedAt !== undefined) return;
        const { done } = await records.next();
        if (done === true) return;
      }
    } finally {
      await records.return();
    }
  }
}

/** Before the answer begins, which could only be broken off. */
async function assertOutput({ blobs }: RunsDeps, run: RunFacts, task: string): Promise<void> {
  const digest = run.tasks.get(task)?.output;
  if (digest === undefined || run.closedAt === undefined || (await blobs.has(digest))) return;
  throw new OrchestraError('blob.unknown', `There is no blob ${digest}`);
}

async function assertTask(runs: Runs, run: RunFacts, task: string): Promise<void> {
  const plan = await runs.planOf(run);
  if (plan?.tasks.some(({ id }) => id === task)) return;
  if (run.tasks.get(task)?.superseded !== undefined) return;
  // Its plan was pruned; the log knows the tasks that began.
  if (plan === undefined && run.tasks.has(task)) return;
  throw new OrchestraError('task.unknown', `${run.id} has no task ${task.slice(0, 64)}`, {
    hint: `orchestra show ${run.id}`,
  });
}
