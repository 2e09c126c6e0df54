import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { RunView } from '#contract/run.ts';
import { runCli, TestDaemon, type Ran } from '#test/support/daemon.ts';
import * as containers from '#test/support/containers.ts';

let daemon: TestDaemon;
let dir: string;
let made = 0;

beforeAll(async () => {
  daemon = await TestDaemon.start();
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

beforeEach(() => {
  made += 1;
  dir = join(daemon.dir, `work-${made}`);
  mkdirSync(dir);
});

const cliEnv = () => ({
  ORCHESTRA_HOST: `unix://${daemon.socket}`,
  XDG_CACHE_HOME: join(daemon.dir, 'cache'),
  XDG_STATE_HOME: join(daemon.dir, 'cli-state'),
});

async function view(run = '@last'): Promise<RunView> {
  return JSON.parse((await daemon.cli(['show', run, '--json'])).stdout) as RunView;
}

const containersOf = async (run: string) => containers.containersOf(run, daemon.stateDir);

async function untilRunning(task: string): Promise<RunView> {
  for (let i = 0; i < 1_200; i += 1) {
    const run = await view().catch(() => undefined);
    if (run?.tasks?.some(({ id, state }) => id === task && state === 'running')) {
      if ((await containersOf(run.id)).some(({ State }) => State === 'running')) return run;
    }
    await sleep(50);
  }
  throw new Error(`${task} never ran`);
}

/** `slow` ignores a polite end, `after` waits for it, `aside` does not. */
function writePlan(): string {
  const file = join(dir, 'plan.yaml');
  writeFileSync(
    file,
    `version: 1
tasks:
  - { id: slow, tool: sh, args: ['-c', 'trap "" TERM INT; sleep 300 & wait; sleep 300'] }
  - { id: after, tool: sh, args: ['-c', 'true'], deps: [slow] }
`,
  );
  return file;
}

test('Ctrl-C cancels the run, exits 130 and leaves no container', async () => {
  const interrupt = new AbortController();
  const running = runCli(['run', '--plan', writePlan(), '--workspace', dir], {
    cwd: dir,
    env: cliEnv(),
    signal: interrupt.signal,
  });
  const { id } = await untilRunning('slow');
  interrupt.abort();
  expect((await running).code).toBe(130);
  const run = await view(id);
  expect(run.state).toBe('cancelled');
  expect(run.tasks.map((task) => task.state)).toEqual(['cancelled', 'skipped']);
  await expect.poll(async () => containersOf(id)).toEqual([]);
});

test('orchestra cancel ends a run for whoever waits for it, with exit 6', async () => {
  const running = daemon.cli(['run', '--plan', writePlan(), '--workspace', dir], { cwd: dir });
  const { id } = await untilRunning('slow');
  expect((await daemon.cli(['cancel', id])).code).toBe(0);
  expect((await running).code).toBe(6);
  await expect.poll(async () => containersOf(id)).toEqual([]);
  const again = await daemon.cli(['cancel', id]);
  expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('cancelled')]);
});

test('a task beyond its time ends its run with exit 3 and what depended on it is skipped', async () => {
  const file = join(dir, 'plan.yaml');
  writeFileSync(
    file,
    `version: 1
tasks:
  - { id: slow, tool: sleep, args: ['60'], timeout: 1s }
  - { id: after, tool: sh, args: ['-c', 'true'], deps: [slow] }
  - { id: aside, tool: sh, args: ['-c', 'sleep 2; echo done'] }
`.replace('tool: sleep, args: [', "tool: exec, args: ['sleep', "),
  );
  const ran = await daemon.cli(['run', '--plan', file, '--workspace', dir], { cwd: dir });
  expect(ran.code).toBe(3);
  const run = await view();
  expect(run.tasks.map(({ state, limit }) => [state, limit])).toEqual([
    ['timed_out', 'timeout'],
    ['skipped', undefined],
    ['succeeded', undefined],
  ]);
  await expect.poll(async () => containersOf(run.id)).toEqual([]);
});

test('a run beyond its time ends with exit 3 and leaves no container', async () => {
  const args = ['run', '--plan', writePlan(), '--workspace', dir, '--timeout', '3s'];
  const ran = await daemon.cli(args, { cwd: dir });
  expect(ran.code).toBe(3);
  const run = await view();
  expect(run.state).toBe('timed_out');
  await expect.poll(async () => containersOf(run.id)).toEqual([]);
});

test('a daemon that is asked to stop ends its containers and itself, and the next one goes on with its runs', async () => {
  const running = daemon.cli(['run', '--plan', writePlan(), '--workspace', dir], { cwd: dir });
  const { id } = await untilRunning('slow');
  expect(await daemon.stop('SIGTERM')).toBe(0);
  expect(await containersOf(id)).toEqual([]);
  await daemon.restart();
  const { tasks } = await untilRunning('slow');
  expect(tasks.map(({ attempt, state }) => [attempt, state])).toEqual([
    [2, 'running'],
    [0, 'waiting'],
  ]);
  expect(tasks[0]?.attempts).toMatchObject([{ attempt: 1, outcome: 'cancelled' }]);
  await endsBy(id, running);
});

test('a daemon that was killed finds its container at the next start, goes on with it and can end it', async () => {
  const running = daemon.cli(['run', '--plan', writePlan(), '--workspace', dir], { cwd: dir });
  const { id } = await untilRunning('slow');
  await daemon.stop('SIGKILL');
  const [kept, ...more] = await containersOf(id);
  expect([kept?.State, more]).toEqual(['running', []]);
  await daemon.restart();
  const { tasks } = await untilRunning('slow');
  expect(tasks[0]).toMatchObject({ id: 'slow', attempt: 1, state: 'running' });
  expect((await containersOf(id)).map(({ Id }) => Id)).toEqual([kept?.Id]);
  await endsBy(id, running);
});

/** A run that goes on can be cancelled whichever daemon began it, and whoever followed it is told. */
async function endsBy(id: string, followed: Promise<Ran>): Promise<void> {
  expect((await daemon.cli(['cancel', id])).code).toBe(0);
  expect((await followed).code).toBe(6);
  const run = await view(id);
  expect([run.state, run.tasks.map(({ state }) => state)]).toEqual([
    'cancelled',
    ['cancelled', 'skipped'],
  ]);
  await expect.poll(async () => containersOf(id)).toEqual([]);
  expect((await daemon.cli(['audit', 'verify'])).code).toBe(0);
}
