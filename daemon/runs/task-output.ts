import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';
import type { RunsDeps } from './deps.ts';
import { outputLines } from './output-lines.ts';
import type { Runs } from './runs.ts';

type Request = { run: string; task: string; follow: boolean; signal: AbortSignal };

const pollMs = 100;

/** What a task wrote, as lines of output chunks; nothing where it has not started. */
export async function outputOf(
  runs: Runs,
  deps: RunsDeps,
  { run: reference, task, follow, signal }: Request,
): Promise<AsyncIterable<Uint8Array>> {
  const run = runs.find(reference);
  const plan = await runs.planOf(run);
  if (!plan?.tasks.some(({ id }) => id === task)) {
    throw new OrchestraError('task.unknown', `${run.id} has no task ${task.slice(0, 64)}`, {
      hint: `orchestra show ${run.id}`,
    });
  }
  return lines();

  async function* lines(): AsyncGenerator<Uint8Array, void, undefined> {
    for (;;) {
      const growing = runs.open(run.id)?.outputs.get(task);
      if (growing) {
        yield* follow ? growing.follow(signal) : growing.soFar();
        return;
      }
      const digest = run.tasks.get(task)?.output;
      if (digest !== undefined) {
        yield* outputLines(await deps.blobs.open(digest));
        return;
      }
      if (!follow || signal.aborted || run.closedAt !== undefined) return;
      await sleep(pollMs);
    }
  }
}
