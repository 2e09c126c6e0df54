import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestDaemon } from '#test/support/daemon.ts';
import { anthropic, ModelServer, openai, says, status } from '#test/support/model-server.ts';
import { keyFile, saidPlan, testKey } from '#test/support/planning.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const words = 'Make it and look at what came of it';
const made = saidPlan(
  {
    id: 'make',
    tool: 'npm',
    args: ['run', 'build'],
    outputs: [{ name: 'out', path: 'out.txt', required: true }],
  },
  { id: 'look', tool: 'exec', args: ['cat', 'out.txt'], deps: ['make'] },
);
const tooWide = saidPlan({ id: 'make', tool: 'docker', args: ['run', '--privileged', 'x'] });

let dir: Awaited<ReturnType<typeof tempDir>>;
let servers: ModelServer[];
let daemon: TestDaemon;
let project: string;

beforeAll(async () => {
  dir = await tempDir();
  servers = [
    await ModelServer.open(status(529)),
    await ModelServer.open(says(openai, tooWide), says(openai, made), status(500)),
  ];
  const key = keyFile(dir.path);
  const planners = servers.map(({ origin }, i) => ({
    kind: i === 0 ? 'anthropic' : 'openai',
    name: i === 0 ? 'first' : 'second',
    model: 'scripted',
    base_url: i === 0 ? origin : `${origin}/v1`,
    key: { file: key },
  }));
  const config = join(dir.path, 'orchestrad.yaml');
  writeFileSync(config, JSON.stringify({ planners, plan_within: '30s' }));
  project = join(dir.path, 'project');
  mkdirSync(project);
  const build = `node -e "require('node:fs').writeFileSync('out.txt', 'made')"`;
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'p', scripts: { build } }));
  daemon = await TestDaemon.start(['--config', config]);
});

afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  for (const server of servers) await server[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

test('a plan of the second provider, mended once, runs in the sandbox, and the report says who made it', async () => {
  const report = join(dir.path, 'reports');
  const ran = await daemon.cli(['run', words, '--report-dir', report, '--output', 'plain'], {
    cwd: project,
  });
  expect(ran.code, ran.stderr + ran.stdout).toBe(0);
  const shown = await daemon.cli(['show', '@last']);
  expect(shown.stdout).toContain('second: made the plan');
  expect(shown.stdout).toContain('first: it is overloaded');
  const log = await daemon.cli(['logs', '@last', 'look']);
  expect(log.stdout).toContain('made');
  const text = await daemon.cli(['report', '@last']);
  expect(text.stdout).toContain('by the planner second');
  expect((servers[1]?.asked.length ?? 0) >= 2).toBe(true);
});

test('with every provider down the rules have the plan, and the run is green', async () => {
  const ran = await daemon.cli(['run', 'build', '--output', 'plain'], { cwd: project });
  expect(ran.code, ran.stderr + ran.stdout).toBe(0);
  const shown = await daemon.cli(['show', '@last', '--json']);
  const view = JSON.parse(shown.stdout) as { planner: string; tried: { code: string }[] };
  expect(view.planner).toBe('rules');
  expect(view.tried.map(({ code }) => code)).toEqual(['overloaded', 'overloaded', 'ok']);
});

test('every question is on record, and the key is nowhere the daemon writes', async () => {
  const asked = await daemon.cli(['audit', 'list', '--type', 'planner.asked', '--json']);
  const records = (JSON.parse(asked.stdout) as { items: unknown[] }).items;
  expect(records.length).toBe(servers.reduce((sum, { asked: all }) => sum + all.length, 0));
  const found = spawnGrep(testKey, daemon.stateDir);
  expect(found).toBe('');
  expect(daemon.output).not.toContain(testKey);
  expect(servers[0]?.asked[0]?.path).toBe(anthropic.path);
});

function spawnGrep(text: string, folder: string): string {
  try {
    return execFileSync('grep', ['-rlaF', text, folder], { encoding: 'utf8' });
  } catch (error) {
    // 1: found nowhere.
    if ((error as { status: number }).status === 1) return '';
    throw error;
  }
}
