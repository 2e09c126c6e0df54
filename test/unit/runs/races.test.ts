import { expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import { changesOf } from '#daemon/runs/changes.ts';
import { inWords, ofType, Orchestra, user } from '#test/support/orchestra.ts';

const build = { id: 'build', tool: 'node', args: ['build.js'] };

test('a cancellation that comes while the closing record is written is refused, not put after it', async () => {
  await using it = await Orchestra.open();
  let late: Promise<unknown> | undefined;
  it.gate = (entry) => {
    if (entry.type === 'run.closed') {
      late = it.rooms.runs.cancel(entry.run ?? '', 'too late', user);
      late.catch(() => {});
    }
    return true;
  };
  const id = await it.run([build]);
  await expect(late).rejects.toMatchObject({ code: 'run.conflict' });
  expect(inWords((await it.records(id)).at(-1) as never)).toBe('run.closed');
});

test('a submission that a stop overtakes is cancelled and closed before the log is', async () => {
  const it = await Orchestra.open();
  it.programs.set('build', { hang: true });
  const snapshot = await it.snapshot();
  const plan = { text: JSON.stringify({ version: 1, tasks: [build] }), file: 'plan.yaml' };
  const submission = it.rooms.runs.submit({ intent: 'x', workspace: '', snapshot, plan }, user);
  const stopping = it.rooms.endRuns('test');
  const id = await submission;
  await stopping;
  expect(it.rooms.runs.openCount).toBe(0);
  expect(it.rooms.deps.states.find(id)?.state).toBe('cancelled');
  expect(it.log.openRuns()).toEqual([]);
  await expect(
    it.rooms.runs.submit({ intent: 'x', workspace: '', snapshot, plan }, user),
  ).rejects.toMatchObject({ code: 'daemon.stopping' });
  await it[Symbol.asyncDispose]();
});

test('output that cannot be kept fails its task, and no task of a closed run seems to run', async () => {
  await using it = await Orchestra.open();
  const { blobs } = it.rooms.deps;
  blobs.adopt = () => Promise.reject(new OrchestraError('disk.full', 'no room'));
  const id = await it.run([build, { ...build, id: 'after', deps: ['build'] }]);
  const run = it.rooms.deps.states.find(id);
  expect(run?.state).toBe('failed');
  expect(run?.tasks.get('build')).toMatchObject({
    state: 'failed',
    reason: 'disk.full: no room',
  });
  expect(run?.tasks.get('after')?.state).toBe('skipped');
  const { items } = await changesOf(it.rooms.deps, it.rooms.runs, id);
  expect(items).toEqual([]);
});

test('a sandbox that is not what was asked for counts, although the run was cancelled meanwhile', async () => {
  await using it = await Orchestra.open();
  it.fake.tamper = (effective) => ({
    ...effective,
    settings: { ...effective.settings, network: 'host' },
  });
  let id = '';
  it.gate = async (entry) => {
    if (entry.type === 'container.settings.mismatch') await it.rooms.runs.cancel(id, '', user);
    return true;
  };
  id = await it.submit([build]);
  await it.ended(id);
  expect(it.rooms.deps.states.find(id)).toMatchObject({ state: 'violated', exitCode: 4 });
  const [closed] = ofType(await it.records(id), 'run.closed');
  expect(closed).toMatchObject({ sev: 'alert', data: { outcome: 'violated' } });
});

test('a failed removal leaves the result, and the end of the daemon takes the container away', async () => {
  const it = await Orchestra.open();
  it.fake.failNext('remove');
  const id = await it.run([build]);
  expect(it.rooms.deps.states.find(id)?.state).toBe('succeeded');
  expect(it.fake.left).toHaveLength(1);
  await it.stop();
  expect(it.fake.left).toEqual([]);
  await it[Symbol.asyncDispose]();
});
