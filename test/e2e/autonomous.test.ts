import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RequestRow } from '#contract/requests.ts';
import type { ToolLists } from '#contract/tools.ts';
import { TestDaemon } from '#test/support/daemon.ts';
import { ModelServer, openai, says } from '#test/support/model-server.ts';
import { keyFile, saidPlan } from '#test/support/planning.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const root = new URL('../..', import.meta.url).pathname;
const words = 'Say how much is in own.txt';
const plan = saidPlan({ id: 'count', tool: 'exec', args: ['wc', '-c', 'own.txt'] });

let dir: Awaited<ReturnType<typeof tempDir>>;
let server: ModelServer;
let daemon: TestDaemon;
let project: string;

beforeAll(async () => {
  dir = await tempDir();
  server = await ModelServer.open(says(openai, plan));
  const policies = join(dir.path, 'policies');
  mkdirSync(policies);
  const standard = readFileSync(join(root, 'policies/default.yaml'), 'utf8');
  const free = standard.replace('name: default', 'name: free');
  writeFileSync(join(policies, 'free.yaml'), `${free}\nautonomous: allowed\n`);
  const planners = [
    {
      kind: 'openai',
      name: 'model',
      model: 'scripted',
      base_url: `${server.origin}/v1`,
      key: { file: keyFile(dir.path) },
    },
  ];
  const config = join(dir.path, 'orchestrad.yaml');
  writeFileSync(config, JSON.stringify({ planners, policies, ceiling: 'free', policy: 'free' }));
  project = join(dir.path, 'project');
  mkdirSync(project);
  writeFileSync(join(project, 'own.txt'), 'twelve bytes');
  daemon = await TestDaemon.start(['--config', config]);
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

const run = async (...args: string[]) => daemon.cli(['run', ...args, words], { cwd: project });

test('a policy that does not allow it refuses an autonomous run', async () => {
  const text = readFileSync(join(root, 'policies/default.yaml'), 'utf8');
  const own = join(dir.path, 'own.yaml');
  writeFileSync(own, text);
  const refused = await run('--autonomous', '--policy', own);
  expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining('autonomous')]);
});

test('with nobody there it ends with 6 and says what is to be approved, and nothing ran', async () => {
  const ran = await run('--autonomous');
  expect([ran.code, ran.stdout + ran.stderr]).toEqual([
    6,
    expect.stringMatching(/count waits for people.*: orchestra appro/),
  ]);
  const shown = await daemon.cli(['show', '@last']);
  expect(shown.stdout).toContain('wc: new, so somebody is asked for it');
});

test('what was approved once goes by itself from then on, tried before each time', async () => {
  await run('--autonomous', '--detach');
  const open = async () => {
    const { stdout } = await daemon.cli(['approvals', '--json']);
    const { items } = JSON.parse(stdout.split('\n')[0] ?? '') as { items: RequestRow[] };
    return items[0];
  };
  await expect.poll(open, { timeout: 20_000 }).toBeDefined();
  const { id = '', shown = '' } = (await open()) ?? {};
  expect((await daemon.cli(['approve', id, '--digest', shown])).code).toBe(0);
  expect((await daemon.cli(['wait', '@last'])).code).toBe(0);
  expect((await daemon.cli(['logs', '@last', 'count'])).stdout).toContain('12 own.txt');
  const { stdout } = await daemon.cli(['tools', 'export', '--json']);
  const { lists } = JSON.parse(stdout.split('\n')[0] ?? '') as ToolLists;
  expect(lists[0]?.tools.map(({ name }) => name)).toEqual(['wc']);

  const again = await run('--autonomous', '--no-cache');
  expect(again.code, again.stderr).toBe(0);
  const report = await daemon.cli(['report', '@last']);
  expect(report.stdout).toContain('wc: on the list of tools');
});
