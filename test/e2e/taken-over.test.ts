import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RunView } from '#contract/run.ts';
import { TestDaemon } from '#test/support/daemon.ts';

let daemon: TestDaemon;
let workspace: string;
beforeEach(async () => {
  daemon = await TestDaemon.start();
  workspace = join(daemon.dir, 'work');
  mkdirSync(workspace);
});
afterEach(async () => daemon[Symbol.asyncDispose]());

const counts = (to: number) =>
  `n=0; while [ $n -lt ${to} ]; do n=$((n+1)); echo $n; sleep 0.05; done; echo made > made`;

async function begin(to: number): Promise<string> {
  const tasks = [
    { id: 'first', tool: 'sh', args: ['-c', 'echo one > one'] },
    { id: 'count', tool: 'sh', args: ['-c', counts(to)], deps: ['first'] },
    { id: 'last', tool: 'sh', args: ['-c', 'cat one made'], deps: ['count'] },
  ];
  const plan = join(daemon.dir, 'plan.yaml');
  writeFileSync(plan, JSON.stringify({ version: 1, tasks }));
  const ran = await daemon.cli(['run', '--plan', plan, '--workspace', workspace, '--detach']);
  const id = ran.stdout.trim();
  await expect.poll(async () => logOf(id, 'count'), { timeout: 20_000 }).toContain('5\n');
  return id;
}

const logOf = async (id: string, task: string) => (await daemon.cli(['logs', id, task])).stdout;
const viewOf = async (id: string) =>
  RunView.parse(JSON.parse((await daemon.cli(['show', id, '--json'])).stdout));
const numbers = (to: number) => Array.from({ length: to }, (_, at) => `${at + 1}\n`).join('');

test('a task runs on while its daemon is dead, and the next one misses no line of it', async () => {
  const id = await begin(80);
  await daemon.stop('SIGKILL');
  await daemon.restart();
  expect((await daemon.cli(['wait', id])).code).toBe(0);
  expect(await logOf(id, 'count')).toBe(numbers(80));
  expect(await logOf(id, 'last')).toBe('one\nmade\n');
  const view = await viewOf(id);
  expect(view.tasks.map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
  // All of it, not only what the second daemon saw.
  expect(view.tasks[1]?.durationMs).toBeGreaterThan(80 * 50);
  const { stdout } = await daemon.cli(['audit', 'tail', '-n', '200', '--json']);
  const types = stdout.split('\n').map((line) => /"type":"([a-z.]+)"/.exec(line)?.[1]);
  expect(types).toContain('attempt.adopted');
  expect((await daemon.cli(['audit', 'verify'])).code).toBe(0);
});

test('what is frozen stands still through the death of its daemon, and its time as well', async () => {
  const id = await begin(60);
  await daemon.cli(['pause', id, '--freeze']);
  const before = await logOf(id, 'count');
  await daemon.stop('SIGKILL');
  await daemon.restart();
  expect((await viewOf(id)).state).toBe('paused');
  expect(await logOf(id, 'count')).toBe(before);
  await daemon.cli(['resume', id, '--detach']);
  expect((await daemon.cli(['wait', id])).code).toBe(0);
  expect(await logOf(id, 'count')).toBe(numbers(60));
});

test('a run whose cancel was asked for ends with the next daemon, and its sandbox with it', async () => {
  const id = await begin(2_000);
  // The answer may be lost with the daemon; the record is not.
  await Promise.allSettled([daemon.cli(['cancel', id]), daemon.stop('SIGKILL')]);
  await daemon.restart();
  if ((await viewOf(id)).state !== 'cancelled') await daemon.cli(['cancel', id]);
  await daemon.cli(['wait', id]);
  expect((await viewOf(id)).state).toBe('cancelled');
});
