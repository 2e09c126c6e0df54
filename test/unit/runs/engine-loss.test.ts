import { afterEach, expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import { EngineWatch } from '#daemon/runs/engine-loss.ts';
import { ofType, Orchestra, type PlanFileTask } from '#test/support/orchestra.ts';

let it: Orchestra;
let isGone = false;

afterEach(async () => {
  isGone = false;
  await it[Symbol.asyncDispose]();
});

const hangs: PlanFileTask = { id: 'hangs', tool: 'sh', args: ['-c', 'x'] };
const after: PlanFileTask = { id: 'after', tool: 'sh', args: ['-c', 'x'], deps: ['hangs'] };
const apart: PlanFileTask = { id: 'apart', tool: 'sh', args: ['-c', 'x'] };

/** A run whose first task hangs until the engine goes away under it. */
async function lose(tasks: PlanFileTask[], patienceMs: number) {
  it = await Orchestra.open({ programs: new Map([['hangs', { hang: true }]]) });
  const watch = new EngineWatch(it.rooms.deps.engine, { patienceMs, pauseMs: 5 });
  Object.assign(it.rooms.deps, { engineWatch: watch });
  it.listen(() => {
    if (isGone) throw new OrchestraError('engine.unavailable', 'nothing answers');
  });
  const run = await it.submit(tasks);
  await expect.poll(() => it.fake.calls).toContain('wait');
  isGone = true;
  for (const name of it.fake.left) it.fake.vanish(name);
  return run;
}

const finished = async (run: Awaited<ReturnType<typeof lose>>) =>
  Object.fromEntries(
    ofType(await it.records(run), 'task.finished').map(({ obj, data }) => [obj?.['task'], data]),
  );

test('a run whose engine does not come back ends as lost, with the exit code of it', async () => {
  const run = await lose([hangs, after, apart], 30);
  await it.ended(run);
  const tasks = await finished(run);
  expect(tasks['hangs']).toMatchObject({ outcome: 'unknown' });
  expect(tasks['hangs']?.reason).toContain('the engine went away');
  expect(Object.keys(tasks)).toEqual(['hangs']);
  expect(ofType(await it.records(run), 'run.closed').at(-1)?.data).toMatchObject({
    outcome: 'failed',
    exit_code: 5,
    reason: expect.stringContaining('did not come back') as string,
  });
});

test('an engine that comes back in time costs the attempt that ran, and no task', async () => {
  const run = await lose([hangs, after, apart], 10_000);
  it.programs.delete('hangs');
  // Not before somebody has missed it.
  await expect.poll(async () => ofType(await it.records(run), 'attempt.unknown').length).toBe(1);
  isGone = false;
  await it.ended(run);
  const tasks = await finished(run);
  expect(tasks).toMatchObject({
    hangs: { outcome: 'succeeded', attempt: 2 },
    apart: { outcome: 'succeeded' },
    after: { outcome: 'succeeded' },
  });
  const records = await it.records(run);
  expect(ofType(records, 'attempt.unknown')).toHaveLength(1);
  expect(ofType(records, 'attempt.ended').map(({ data }) => data.outcome)).toEqual(['unknown']);
  expect(ofType(records, 'run.closed').at(-1)?.data).toMatchObject({ exit_code: 0 });
  expect(it.fake.left).toEqual([]);
});

test('a run that is cancelled does not wait for the engine', async () => {
  const run = await lose([hangs], 600_000);
  await it.rooms.runs.cancel(run, 'enough', { kind: 'user', auth: 'peer', uid: 0, name: 'root' });
  await it.ended(run);
  expect(ofType(await it.records(run), 'run.closed').at(-1)?.data).toMatchObject({
    outcome: 'cancelled',
  });
});

test('an engine that refuses and is there is not taken for lost, but asked again', async () => {
  it = await Orchestra.open();
  it.fake.failNext('create', 'fail');
  const run = await it.run([apart]);
  expect((await finished(run))['apart']).toMatchObject({ outcome: 'succeeded', attempt: 2 });
  const [ended] = ofType(await it.records(run), 'attempt.ended');
  expect(ended?.data.outcome).toBe('failed');
});

test('a stop of the daemon is not kept by an engine that is gone', async () => {
  await lose([hangs], 30);
  await it.stop();
  const records = await it.records();
  expect(records.at(-1)?.type).toBe('daemon.stopped');
});
