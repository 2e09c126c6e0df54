import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RequestRow } from '#contract/requests.ts';
import type { ToolLists, ToolsAnswer } from '#contract/tools.ts';
import { TestDaemon } from '#test/support/daemon.ts';

const root = new URL('../..', import.meta.url).pathname;
let daemon: TestDaemon;
let dir: string;
let config: string[];

beforeAll(async () => {
  daemon = await TestDaemon.start();
  const policies = join(daemon.dir, 'policies');
  mkdirSync(policies);
  const standard = readFileSync(join(root, 'policies/default.yaml'), 'utf8');
  const growing = standard.replace('name: default', 'name: growing');
  writeFileSync(join(policies, 'growing.yaml'), `${growing}\ntools_growth: ask\n`);
  const file = join(daemon.dir, 'orchestrad.yaml');
  writeFileSync(file, `policies: ${policies}\nceiling: growing\npolicy: growing\n`);
  config = ['--config', file];
  await daemon.stop();
  await daemon.restart(config);
  dir = join(daemon.dir, 'work');
  mkdirSync(dir);
  writeFileSync(join(dir, 'own.txt'), 'own');
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

async function json<T>(args: string[]): Promise<T> {
  const { code, stdout, stderr } = await daemon.cli([...args, '--json']);
  expect([code, stderr]).toEqual([0, expect.any(String)]);
  return JSON.parse(stdout.split('\n')[0] ?? '') as T;
}

/** Starts a plan of one program, and approves it as soon as somebody is asked. */
async function approved(args: readonly string[]): Promise<{ request: string; output: string }> {
  const file = join(daemon.dir, 'plan.yaml');
  const task = { id: 'look', tool: 'exec', args };
  writeFileSync(file, JSON.stringify({ version: 1, tasks: [task] }));
  await daemon.cli(['run', '--plan', file, '--detach', 'look'], { cwd: dir });
  const open = async () => (await json<{ items: RequestRow[] }>(['approvals'])).items[0];
  await expect.poll(open).toBeDefined();
  const { id = '', shown = '' } = (await open()) ?? {};
  const said = await daemon.cli(['approve', id, '--digest', shown]);
  expect(said.code).toBe(0);
  await daemon.cli(['wait', '@last']);
  return { request: id, output: (await daemon.cli(['logs', '@last', 'look'])).stdout };
}

test('what is measured is what a task finds, and doctor knows of it', async () => {
  expect((await daemon.cli(['doctor'])).stdout).toContain('not measured yet');
  const { items, measured } = await json<ToolsAnswer>(['tools', '--all']);
  expect(measured?.wrong).toEqual([]);
  const names = items.map(({ name }) => name);
  for (const name of ['node', 'npm', 'npx', 'sh', 'env', 'sha256sum'])
    expect(names).toContain(name);
  expect(items.find(({ name }) => name === 'node')?.version).toMatch(/^20\./);
  expect(items.every(({ standing }) => standing === 'new')).toBe(true);
  const all = 'sha256sum /usr/local/bin/* /usr/sbin/* /usr/bin/* /sbin/* /bin/*';
  const { output } = await approved(['sh', '-c', all]);
  const found = new Map(output.split('\n').map((line) => [line.slice(66), line.slice(0, 64)]));
  for (const { path, binary } of items) expect(binary).toBe(`sha256:${found.get(path)}`);
  expect((await daemon.cli(['doctor'])).stdout).toContain('programs of the image are measured');
});

test('a daemon that is killed right after an approval knows the list, and asks nobody', async () => {
  const { request } = await approved(['node', '--version']);
  await daemon.stop('SIGKILL');
  await daemon.restart(config);
  const { lists } = await json<ToolLists>(['tools', 'export']);
  const line = lists[0]?.tools.find(({ name }) => name === 'node');
  expect(line).toMatchObject({ request, by: [process.getuid?.()] });
  const ran = await daemon.cli(['exec', '--', 'node', '--version'], { cwd: dir });
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringMatching(/^v20\./)]);
});

test('what is withdrawn is asked for, and without anybody there the run ends with 6', async () => {
  await daemon.cli(['tools', 'withdraw', 'node']);
  const args = ['exec', '--approval', 'fail', '--', 'node', '--version'];
  const ran = await daemon.cli(args, { cwd: dir });
  expect([ran.code, ran.stdout]).toEqual([6, '']);
});
