import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { RunView } from '#contract/run.ts';
import { TestDaemon } from '#test/support/daemon.ts';
import {
  anthropic,
  ModelServer,
  openai,
  says,
  status,
  type Reply,
} from '#test/support/model-server.ts';
import { keyFile, saidPlan } from '#test/support/planning.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const write = (file: string, text: string) =>
  `node -e "require('node:fs').writeFileSync('${file}', '${text}')"`;

/** `build` is broken for good; `bundle` makes the same in another way. */
const scripts = {
  prepare: write('ready.txt', 'ready'),
  lint: 'node -e 0',
  build: `node -e "console.error('src/a.ts(1,1): error TS2304: no such name'); process.exit(2)"`,
  bundle: write('out.txt', 'bundled'),
  check: `node -e "console.log(require('node:fs').readFileSync('out.txt', 'utf8'))"`,
};
const npm = (script: string) => ({ tool: 'npm', args: ['run', script] });
const made = { outputs: [{ name: 'out', path: 'out.txt', required: true }] };
const plan = saidPlan(
  { id: 'prepare', ...npm('prepare') },
  { id: 'lint', ...npm('lint'), deps: ['prepare'] },
  { id: 'build', ...npm('build'), deps: ['prepare'], ...made },
  { id: 'check', ...npm('check'), deps: ['build'] },
);
const around = JSON.stringify({
  operations: [
    {
      op: 'replace',
      id: 'build',
      deps: null,
      task: {
        id: 'bundle',
        title: 'Bundle',
        why: 'build is broken',
        ...npm('bundle'),
        ...made,
        deps: ['prepare'],
      },
    },
  ],
});

/** A daemon with two planners on servers of their own, and a project. */
async function siteWith(first: Reply[], second: Reply[], files: Record<string, string>) {
  const dir = await tempDir();
  const servers = [await ModelServer.open(...first), await ModelServer.open(...second)];
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
  const project = join(dir.path, 'project');
  mkdirSync(project);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(project, name), text);
  const daemon = await TestDaemon.start(['--config', config]);
  onTestFinished(async () => {
    await daemon[Symbol.asyncDispose]();
    for (const server of servers) await server[Symbol.asyncDispose]();
    await dir[Symbol.asyncDispose]();
  });
  const run = async (intent: string, more: string[] = []) => {
    const report = join(dir.path, 'reports');
    const ran = await daemon.cli(
      ['run', intent, '--report-dir', report, '--output', 'plain', ...more],
      {
        cwd: project,
      },
    );
    const { stdout } = await daemon.cli(['show', '@last', '--json']);
    return { ran, view: JSON.parse(stdout) as RunView };
  };
  return { daemon, servers, run };
}

const manifest = (known: object) => ({
  'package.json': JSON.stringify({ name: 'p', scripts: known }),
});
const states = ({ tasks }: RunView) =>
  Object.fromEntries(tasks.map(({ id, state, attempt }) => [id, `${state} ${attempt}`]));

describe('a build that fails for good', () => {
  test('is planned around by the first planner: finished tasks are kept, the run is green, and the report tells the story', async () => {
    const { daemon, run } = await siteWith(
      [says(anthropic, plan), says(anthropic, around)],
      [status(500)],
      manifest(scripts),
    );
    const { ran, view } = await run('Make it and check it');
    expect(ran.code, ran.stderr + ran.stdout).toBe(0);
    expect(states(view)).toEqual({
      prepare: 'succeeded 1',
      lint: 'succeeded 1',
      build: 'failed 1',
      bundle: 'succeeded 1',
      check: 'succeeded 1',
    });
    expect(view.revisions).toMatchObject([
      { revision: 2, planner: 'first', superseded: ['build'] },
    ]);
    expect(ran.stdout).toContain('because build failed (code): bundle stands in for build');
    const report = await daemon.cli(['report', '@last']);
    expect(report.stdout).toContain('How the plan was changed');
    expect(report.stdout).toContain('bundle stands in for build');
    expect((await daemon.cli(['logs', '@last', 'check'])).stdout).toContain('bundled');
    expect((await daemon.cli(['logs', '@last', 'build'])).stdout).toContain('TS2304');
    expect((await daemon.cli(['audit', 'verify'])).code).toBe(0);
  });

  test('stays failed where that is wanted, and goes on by hand, with a hint, in another run', async () => {
    const { daemon, servers, run } = await siteWith(
      [says(anthropic, plan), says(anthropic, around)],
      [status(500)],
      manifest(scripts),
    );
    const { ran, view } = await run('Make it and check it', ['--replan', 'off']);
    expect(ran.code).toBe(2);
    expect(view.revisions).toBeUndefined();
    const again = await daemon.cli(['replan', view.id, '--hint', 'bundle it', '--output', 'plain']);
    expect(again.code, again.stderr + again.stdout).toBe(0);
    expect(again.stdout).toContain('bundle stands in for build');
    expect(JSON.stringify(servers[0]?.asked.at(-1)?.body)).toContain('bundle it');
  });

  test('is planned around by the second planner while the first is down', async () => {
    const { run } = await siteWith(
      [status(529)],
      [says(openai, plan), says(openai, around)],
      manifest(scripts),
    );
    const { ran, view } = await run('Make it and check it');
    expect(ran.code, ran.stderr + ran.stdout).toBe(0);
    expect(view.revisions).toMatchObject([{ planner: 'second' }]);
    expect(view.revisions?.[0]?.tried?.map(({ planner }) => planner)).toEqual(['first', 'second']);
  });
});

test('with both planners down the rules put the build before the test that needs it', async () => {
  const { run } = await siteWith([status(529)], [status(503)], {
    ...manifest({
      build: `node -e "require('node:fs').mkdirSync('dist'); require('node:fs').writeFileSync('dist/main.js', '')"`,
      test: 'node ./dist/main.js',
    }),
  });
  const { ran, view } = await run('test');
  expect(ran.code, ran.stderr + ran.stdout).toBe(0);
  expect(view.revisions).toMatchObject([{ planner: 'rules' }]);
  expect(states(view)).toEqual({
    test: 'failed 1',
    build: 'succeeded 1',
    'test-r2': 'succeeded 1',
  });
});
