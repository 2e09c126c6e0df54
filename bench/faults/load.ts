import { randomInt } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { transportOf } from '#cli/run/snapshot.ts';
import { takeSnapshot } from '#cli/workspace/upload.ts';
import { OrchestraError } from '#contract/errors.ts';
import { runOutcomes, type SubmitRun } from '#contract/run.ts';
import type { World } from './world.ts';

export type Done = { runs: number; tasks: number; outcomes: Record<string, number> };

type Task = { id: string; tool: string; args: string[]; deps?: string[]; on_failure?: 'continue' };

const endMs = 240_000;

/** Puts a small workspace in place; its digest stays good over every restart. */
export async function snapshotOf(world: World): Promise<string> {
  const workspace = join(world.dir, 'w');
  mkdirSync(workspace, { recursive: true });
  writeFileSync(join(workspace, 'hello.txt'), 'hello\n');
  const memoFile = join(world.dir, 'memo');
  return (await takeSnapshot({ workspace, memoFile, transport: transportOf(world.client) })).digest;
}

/** Runs after runs until `goOn` says no. Never gives up on a run before it has ended. */
export async function keepBusy(
  world: World,
  { snapshot, goOn, done }: { snapshot: string; goOn: () => boolean; done: Done },
): Promise<void> {
  while (goOn()) {
    const tasks = someTasks();
    const id = await submit(world, snapshot, tasks);
    if (id === undefined) continue;
    if (randomInt(6) === 0) {
      await sleep(randomInt(2_000));
      const body = { reason: 'the campaign' };
      await world.client.call('runCancel', { params: { id }, body }).catch(() => {});
    }
    const outcome = await ended(world, id);
    done.runs += 1;
    done.tasks += tasks.length;
    done.outcomes[outcome] = (done.outcomes[outcome] ?? 0) + 1;
  }
}

/** Runs of plain tasks, as many as are wanted in all, some at a time. */
export async function manyTasks(
  world: World,
  { snapshot, tasks, done }: { snapshot: string; tasks: number; done: Done },
): Promise<void> {
  const each = 100;
  for (let made = 0; made < tasks; made += each) {
    const count = Math.min(each, tasks - made);
    const plan = Array.from({ length: count }, (_, n) => sh(`t${n}`, `echo ${n} > f${n}`));
    const id = await submit(world, snapshot, plan);
    const outcome = id === undefined ? 'refused' : await ended(world, id);
    done.runs += 1;
    done.tasks += count;
    done.outcomes[outcome] = (done.outcomes[outcome] ?? 0) + 1;
  }
}

const sh = (id: string, script: string, more: Partial<Task> = {}): Task => ({
  id,
  tool: 'sh',
  args: ['-c', script],
  ...more,
});

/** What ends at once, what takes its time, what fails, and what leaves children behind. */
function someTasks(): Task[] {
  const kinds: ((id: string) => Task)[] = [
    (id) => sh(id, `echo ${id} > ${id}.txt`),
    (id) => sh(id, 'i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); sleep 0.1; done'),
    (id) => sh(id, 'exit 3', { on_failure: 'continue' }),
    (id) => sh(id, '(setsid sleep 600 &) ; sleep 600 & sleep 0.2', { on_failure: 'continue' }),
    (id) => sh(id, 'trap "" TERM; sleep 5', { on_failure: 'continue' }),
    (id) => sh(id, 'head -c 3000000 /dev/zero; mkdir -p d; head -c 100000 /dev/zero > d/f'),
  ];
  const count = 2 + randomInt(5);
  return Array.from({ length: count }, (_, n) => {
    const make = kinds[randomInt(kinds.length)] ?? ((id: string) => sh(id, 'true'));
    const task = make(`t${n}`);
    return n > 0 && randomInt(2) === 0 ? { ...task, deps: [`t${randomInt(n)}`] } : task;
  });
}

/** Undefined where the daemon went away before it answered: the log knows whether there is a run. */
async function submit(
  world: World,
  snapshot: string,
  tasks: readonly Task[],
): Promise<string | undefined> {
  const plan = { text: JSON.stringify({ version: 1, tasks }), file: 'plan.yaml' };
  const about = { intent: 'campaign', snapshot, workspace: 'w', cache: false };
  const body = { ...about, plan, concurrency: 4 } as SubmitRun;
  try {
    return (await world.client.call('runSubmit', { body })).id;
  } catch (error) {
    if (!(error instanceof OrchestraError)) throw error;
    await sleep(300);
    return undefined;
  }
}

async function ended(world: World, id: string): Promise<string> {
  const giveUpAt = performance.now() + endMs;
  const over: readonly string[] = runOutcomes;
  while (performance.now() < giveUpAt) {
    const view = await world.client.call('runShow', { params: { id } }).catch(() => undefined);
    if (view !== undefined && over.includes(view.state)) return view.state;
    await sleep(200);
  }
  return 'stuck';
}
