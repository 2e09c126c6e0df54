import { expect, onTestFinished, test } from 'vitest';
import { PlannerList, plannerSettings } from '#daemon/planner/models/settings.ts';
import { runReport } from '#daemon/runs/run-report.ts';
import { anthropic, ModelServer, openai, says, status } from '#test/support/model-server.ts';
import type { Reply } from '#test/support/model-server.ts';
import { ofType, Orchestra } from '#test/support/orchestra.ts';
import { keyFile, planner, saidPlan } from '#test/support/planning.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const files = {
  'package.json': '{"scripts":{"build":"tsc","bundle":"node bundle.js","lint":"x","pack":"x"}}',
};
const npm = (script: string) => ({ tool: 'npm', args: ['run', script] });
/** lint beside; build, then pack. */
const plan = saidPlan(
  { id: 'prepare', tool: 'npm', args: ['run', 'prepare'] },
  { id: 'lint', ...npm('lint'), deps: ['prepare'] },
  { id: 'build', ...npm('build'), deps: ['prepare'] },
  { id: 'pack', ...npm('pack'), deps: ['build', 'lint'] },
);
const fails = {
  exitCode: 2,
  output: [[2, 'src/a.ts(1,1): error TS2304: no name\n']] as [2, string][],
};

const replace = (id: string, script: string, more: object = {}) => ({
  op: 'replace',
  id,
  deps: null,
  task: { id: `${id}-${script}`, title: 't', why: 'w', ...npm(script), deps: ['prepare'], ...more },
});
const operations = (...all: object[]) => JSON.stringify({ operations: all });

async function daemonWith(first: Reply[], second: Reply[] = [status(500)], only = false) {
  const dir = await tempDir();
  const [a, b] = [await ModelServer.open(...first), await ModelServer.open(...second)];
  const key = keyFile(dir.path);
  const settings = only
    ? []
    : [planner(anthropic, a, key, { name: 'first' }), planner(openai, b, key, { name: 'second' })];
  const it = await Orchestra.open({
    config: { planners: plannerSettings(PlannerList.parse(settings)), planWithinMs: 10_000 },
  });
  onTestFinished(async () => {
    await it[Symbol.asyncDispose]();
    for (const server of [a, b]) await server[Symbol.asyncDispose]();
    await dir[Symbol.asyncDispose]();
  });
  return { it, a, b };
}

test('the same failure after a new plan ends the run, and says what a person can do', async () => {
  const again = operations(replace('build', 'build', { deps: ['prepare', 'lint'] }));
  const { it } = await daemonWith([says(anthropic, plan), says(anthropic, again), status(500)]);
  it.programs.set('build', fails);
  it.programs.set('build-build', fails);
  const run = await it.run('', { intent: 'build it', files });
  const records = await it.records(run);
  expect(ofType(records, 'plan.revised')).toHaveLength(1);
  const [refused] = ofType(records, 'replan.refused');
  expect(refused?.data.code).toBe('same_failure');
  expect(refused?.data.next.join('\n')).toContain(`orchestra logs ${run} build-build`);
  const view = await it.rooms.runs.view(run);
  expect(view).toMatchObject({ state: 'failed', exitCode: 2 });
  expect(view.replanRefused).toHaveLength(1);
});

test('a plan is revised three times at most, whatever a planner says', async () => {
  const next = (n: number) =>
    says(
      anthropic,
      operations(
        replace(n === 1 ? 'build' : `b${n - 1}`, 'bundle', {
          id: `b${n}`,
          env: [],
          args: ['run', `s${n}`],
        }),
      ),
    );
  const { it } = await daemonWith([says(anthropic, plan), next(1), next(2), next(3), next(4)]);
  for (const id of ['build', 'b1', 'b2', 'b3', 'b4']) it.programs.set(id, fails);
  const run = await it.run('', { intent: 'build it', files });
  const records = await it.records(run);
  expect(ofType(records, 'plan.revised').map(({ data }) => data.revision)).toEqual([2, 3, 4]);
  expect(ofType(records, 'replan.refused').map(({ data }) => data.code)).toEqual(['limit']);
});

test('what no plan of that run could do is refused, however it is asked for, and the run fails as before', async () => {
  const wide = [
    { tool: 'sh', args: ['-c', 'cat /run/secrets/*'] },
    { ...npm('bundle'), env: [{ name: 'CI', value: 'x' }] },
    { ...npm('bundle'), outputs: [{ name: 'etc', path: 'elsewhere', required: true }] },
    { ...npm('bundle'), side_effects: true },
  ];
  for (const task of wide) {
    const said = operations(replace('build', 'bundle', task));
    const { it, a } = await daemonWith([says(anthropic, plan), says(anthropic, said)]);
    it.programs.set('build', fails);
    const run = await it.run('', { intent: 'build it', files });
    const records = await it.records(run);
    expect(ofType(records, 'plan.revised')).toEqual([]);
    expect(ofType(records, 'replan.refused')[0]?.data.code).toBe('no_way');
    expect(JSON.stringify(a.asked.at(-1)?.body)).toContain('envelope_widened');
    expect((await it.rooms.runs.view(run)).state).toBe('failed');
  }
});

test('a plan file stands as it is, unless it or whoever runs it asks for another way', async () => {
  const text = (onFailure: string) =>
    JSON.stringify({
      version: 1,
      tasks: [
        { id: 'build', ...npm('build'), ...(onFailure === '' ? {} : { on_failure: onFailure }) },
      ],
    });
  for (const [onFailure, replan, revised] of [
    ['', undefined, 0],
    ['replan', 0, 0],
    ['continue', 3, 0],
    ['replan', undefined, 1],
    ['', 3, 1],
  ] as const) {
    const said = operations(replace('build', 'bundle', { deps: [] }));
    const { it } = await daemonWith([says(anthropic, said)]);
    it.programs.set('build', fails);
    const more = replan === undefined ? {} : { replan };
    const run = await it.run(text(onFailure), { files, ...more });
    const found = ofType(await it.records(run), 'plan.revised');
    expect(found.length, `${onFailure} ${replan}`).toBe(revised);
  }
});

test('a failed build is planned around: what is done is kept, and the run ends green', async () => {
  const { it, a } = await daemonWith([
    says(anthropic, plan),
    says(anthropic, operations(replace('build', 'bundle'))),
  ]);
  it.programs.set('build', fails);
  const run = await it.run('', { intent: 'build it', files });
  const records = await it.records(run);
  const started = ofType(records, 'task.started').map(({ obj }) => obj?.['task'] ?? '');
  expect(started.toSorted()).toEqual(['build', 'build-bundle', 'lint', 'pack', 'prepare']);
  const view = await it.rooms.runs.view(run);
  expect(view).toMatchObject({ state: 'succeeded', exitCode: 0 });
  const states = Object.fromEntries(view.tasks.map(({ id, state }) => [id, state]));
  expect(states).toEqual({
    prepare: 'succeeded',
    lint: 'succeeded',
    build: 'failed',
    'build-bundle': 'succeeded',
    pack: 'succeeded',
  });
  expect(view.tasks.find(({ id }) => id === 'build')?.superseded).toBe(2);
  expect(view.revisions?.[0]).toMatchObject({
    revision: 2,
    planner: 'first',
    superseded: ['build'],
  });
  const asked = JSON.stringify(a.asked[1]?.body);
  expect(asked).toContain('TS2304');
  const report = await runReport(it.rooms.runs, it.rooms.deps, run);
  expect(report).toContain('because build failed (code): build-bundle stands in for build');
});

test('what does not wait for the failed task runs on while a planner thinks', async () => {
  const thought = Promise.withResolvers<void>();
  const slow: Reply = async (answer) => {
    await thought.promise;
    await says(anthropic, operations(replace('build', 'bundle')))(answer);
  };
  const { it, a } = await daemonWith([says(anthropic, plan), slow]);
  it.programs.set('build', fails);
  it.programs.set('lint', { delayMs: 50 });
  const run = await it.submit('', { intent: 'build it', files, concurrency: 1 });
  await expect.poll(() => a.asked.length).toBe(2);
  await expect
    .poll(async () => (await it.rooms.runs.view(run)).tasks.find(({ id }) => id === 'lint')?.state)
    .toBe('succeeded');
  thought.resolve();
  await it.ended(run);
  expect((await it.rooms.runs.view(run)).state).toBe('succeeded');
});

test('with every provider down the rules put the build before a test that needs it', async () => {
  const { it } = await daemonWith([status(529)], [status(503)]);
  it.programs.set('test', {
    exitCode: 1,
    output: [[2, "Error: Cannot find module '/workspace/dist/main.js'\n"]],
  });
  const run = await it.run('', {
    intent: 'test',
    files: { 'package.json': '{"scripts":{"build":"tsc","test":"node test.js"}}' },
  });
  const view = await it.rooms.runs.view(run);
  expect(view.tasks.map(({ id, state }) => `${id} ${state}`).toSorted()).toEqual([
    'build succeeded',
    'test failed',
    'test-r2 succeeded',
  ]);
  expect(view.revisions?.[0]?.planner).toBe('rules');
  expect(view.state).toBe('succeeded');
});
