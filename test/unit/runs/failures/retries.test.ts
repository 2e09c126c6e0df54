import { afterEach, expect, test } from 'vitest';
import type { Script } from '#test/support/fake-engine.ts';
import { ofType, Orchestra, type PlanFileTask } from '#test/support/orchestra.ts';

let it: Orchestra;

afterEach(async () => {
  await it[Symbol.asyncDispose]();
});

const build: PlanFileTask = { id: 'build', tool: 'sh', args: ['-c', 'x'] };

/** Plays one script after the other to the containers of the task, the last one for ever. */
class InTurn extends Map<string, Script> {
  readonly #scripts: Script[];

  constructor(scripts: Script[]) {
    super();
    this.#scripts = scripts;
  }

  override get(id: string): Script | undefined {
    if (id !== build.id) return undefined;
    return this.#scripts.length > 1 ? this.#scripts.shift() : this.#scripts[0];
  }
}

async function play(task: PlanFileTask, scripts: Script[]) {
  it = await Orchestra.open({ programs: new InTurn(scripts) });
  const run = await it.run([task]);
  const records = await it.records(run);
  const facts = it.rooms.deps.states.find(run)?.tasks.get('build');
  const sequence = records.flatMap(({ type, data }) =>
    /^(?:attempt|failure|retry|task)\./.test(type) && type !== 'task.skipped'
      ? [`${type} ${String((data as { attempt?: number }).attempt)}`]
      : [],
  );
  return { records, sequence, task: facts };
}

test('a plain exit code is not tried again, and it is told why and what to do', async () => {
  const { sequence, task } = await play(build, [{ exitCode: 3 }]);
  expect(sequence).toEqual(['task.started 1', 'failure.classified 1', 'task.finished 1']);
  expect(task).toMatchObject({ state: 'failed', failure: { class: 'unknown', rule: 'unknown' } });
});

test('a task with retries is tried again, and that it failed is kept and marked', async () => {
  const { sequence, task, records } = await play({ ...build, retries: 2 }, [{ exitCode: 3 }, {}]);
  expect(sequence).toEqual([
    'task.started 1',
    'failure.classified 1',
    'attempt.ended 1',
    'retry.scheduled 2',
    'task.started 2',
    'task.finished 2',
  ]);
  expect(ofType(records, 'retry.scheduled')[0]?.data).toMatchObject({ budget: 'task', left: 1 });
  expect(task).toMatchObject({
    state: 'succeeded',
    flaky: true,
    attempt: 2,
    attempts: [{ attempt: 1, outcome: 'failed', exitCode: 3, failure: { rule: 'unknown' } }],
  });
});

test('retries of the task end with its budget', async () => {
  const { task } = await play({ ...build, retries: 1 }, [{ exitCode: 3 }]);
  expect(task).toMatchObject({ state: 'failed', attempt: 2, attempts: [{ attempt: 1 }] });
});

test('an engine that refuses three times is left alone for a while; then the task goes on', async () => {
  it = await Orchestra.open();
  for (let i = 0; i < 3; i += 1) it.fake.failNext('create');
  const run = await it.run([build]);
  const records = await it.records();
  const opened = ofType(records, 'component.opened').map(({ data }) => data);
  expect(opened).toMatchObject([{ component: 'runtime:runc', failures: 3 }]);
  expect(ofType(records, 'component.closed')).toHaveLength(1);
  expect(it.rooms.deps.states.find(run)).toMatchObject({ state: 'succeeded' });
  expect(ofType(records, 'retry.scheduled').map(({ data }) => data.budget)).toEqual(
    Array.from({ length: 3 }, () => 'ours'),
  );
});

test('an engine that always refuses uses up our budget, and nothing more', async () => {
  it = await Orchestra.open();
  for (let i = 0; i < 10; i += 1) it.fake.failNext('create');
  const run = await it.run([{ ...build, retries: 0 }]);
  const task = it.rooms.deps.states.find(run)?.tasks.get('build');
  expect(task).toMatchObject({ state: 'failed', attempt: 4, failure: { rule: 'engine-refused' } });
});

test('tasks go round a runtime that is out of order, where the policy lists another', async () => {
  it = await Orchestra.open();
  Object.assign(it.rooms.deps.engineFacts, { runtimes: ['runc', 'crun'] });
  const runtimes = async () =>
    ofType(await it.records(await it.run([build])), 'sandbox.receipt').map(
      ({ data }) => data.settings.runtime,
    );
  expect(await runtimes()).toEqual(['runc']);
  for (let i = 0; i < 3; i += 1) {
    const leave = await it.rooms.deps.circuits.admit(['runtime:runc'], AbortSignal.timeout(1_000));
    leave.failed('runtime:runc');
  }
  expect(await runtimes()).toEqual(['crun']);
});
