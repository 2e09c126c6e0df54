import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AnyRecord } from '#contract/records.ts';
import { RunStates } from '#daemon/runs/state.ts';
import { rowOf, viewOf } from '#daemon/runs/view.ts';
import { inWords, Orchestra, user } from '#test/support/orchestra.ts';
import {
  artifactCollected,
  layerSealed,
  note,
  runClosed,
  someDigest,
  someRun,
  submitted,
  taskFinished,
  taskStarted,
} from '#test/support/records.ts';

function folded(records: readonly AnyRecord[]): RunStates {
  const states = new RunStates();
  for (const record of records) states.fold(record);
  return states;
}

const skipped = note('task.skipped', { reason: 'because' }, { obj: { task: 'build' } });
const requested = note('plan.requested', { planner: 'rules', profile: someDigest('4') });
const accepted = note('run.accepted', {
  plan: someDigest('5'),
  policy: someDigest('6'),
  tasks: 1,
  image: 'image',
});
const cancelRequested = note('run.cancel.requested', { reason: 'enough' });
const anything = [
  submitted(),
  requested,
  accepted,
  cancelRequested,
  taskStarted('build'),
  layerSealed('build', '7'),
  artifactCollected('build', 'dist'),
  note('layer.left_out', { attempt: 1, entries: 1, first: [] }, { obj: { task: 'build' } }),
  taskFinished('build', 'succeeded', { exit_code: 0 }),
  taskFinished('build', 'failed', { exit_code: 9, reason: 'late' }),
  skipped,
  runClosed('succeeded'),
  runClosed('failed'),
  note('run.refused', { code: 'plan.invalid', reasons: ['late'] }),
  note('checkpoint.saved', { checkpoint: someDigest('8'), bytes: 1 }),
];
const laterRecords = fc.array(fc.constantFrom(...anything), { maxLength: 30 });

test('whatever comes after a run was closed is counted and changes nothing else', () => {
  fc.assert(
    fc.property(
      laterRecords,
      fc.constantFrom('failed', 'cancelled', 'unknown'),
      (late, outcome) => {
        const story = [submitted(), taskStarted('build'), runClosed(outcome)];
        const before = folded(story).find(someRun);
        const after = folded([...story, ...late]).find(someRun);
        expect({ ...after, audit: before?.audit }).toEqual(before);
        expect(after?.audit.records).toBe(story.length + late.length);
      },
    ),
  );
});

test('whatever comes after the end of a task does not move it', () => {
  const ends = fc.constantFrom(taskFinished('build', 'violated', { reason: 'first' }), skipped);
  fc.assert(
    fc.property(laterRecords, ends, (late, end) => {
      const story = [submitted(), ...(end === skipped ? [] : [taskStarted('build')]), end];
      const later = end === skipped ? late : [...late, taskStarted('build', 2)];
      const before = folded(story).find(someRun)?.tasks.get('build');
      expect(
        folded([...story, ...later])
          .find(someRun)
          ?.tasks.get('build'),
      ).toEqual(before);
    }),
  );
});

test('a later attempt begins anew, without the artifacts of the one before, which is kept', () => {
  const { data } = taskFinished('build', 'failed', { exit_code: 1 });
  const ended = { ...taskFinished('build', 'failed'), type: 'attempt.ended', data } as AnyRecord;
  const story = [
    submitted(),
    taskStarted('build'),
    artifactCollected('build', 'dist'),
    ended,
    taskStarted('build', 2),
  ];
  expect(folded(story).find(someRun)?.tasks.get('build')).toMatchObject({
    state: 'running',
    attempt: 2,
    attempts: [{ attempt: 1, outcome: 'failed', exitCode: 1 }],
    artifacts: [],
  });
});

test('a run that is being cancelled does not look as if it were running again', () => {
  const { state } = folded([submitted(), requested, cancelRequested, accepted]).find(someRun) ?? {};
  expect(state).toBe('cancelling');
});

test('a record of no run, of an unknown run or of an unknown task is let pass', () => {
  const stray = taskFinished('__proto__', 'succeeded');
  const states = folded([
    { ...submitted(), run: undefined },
    { ...taskStarted('build'), run: 'r-1111111111' },
    submitted(),
    stray,
  ]);
  expect(states.all()).toHaveLength(1);
  expect(states.find(someRun)?.tasks.get('__proto__')?.state).toBe('succeeded');
  expect(states.find('__proto__')).toBeUndefined();
});

test('reading the log again gives what was known while it was written', async () => {
  await using it = await Orchestra.open();
  it.programs.set('build', { exitCode: 1 });
  it.programs.set('slow', { hang: true });
  const build = { id: 'build', tool: 'node', args: ['build.js'] };
  await it.run([{ ...build, id: 'fine', outputs: [{ name: 'p', path: 'package.json' }] }]);
  await it.run([build, { ...build, id: 'after', deps: ['build'] }]);
  await it.run('tasks: none');
  const slow = await it.submit([{ ...build, id: 'slow' }]);
  await it.rooms.runs.cancel(slow, 'enough', user);
  await it.ended(slow);
  const records = await it.records();
  const live = it.rooms.deps.states;
  expect(live.all().map(({ state }) => state)).toEqual([
    'succeeded',
    'failed',
    'refused',
    'cancelled',
  ]);
  expect(folded(records).all()).toEqual(live.all());
  for (const run of live.all()) {
    const own = records.filter((record) => record.run === run.id);
    expect(run.audit.records).toBe(own.length);
    expect(inWords(own.at(-1) ?? submitted())).toMatch(/^run\.closed/);
  }
});

test('a view shows every planned task from the start, and a row counts them', () => {
  const run = folded([
    submitted(),
    accepted,
    taskStarted('build'),
    artifactCollected('build', 'dist'),
    taskFinished('build', 'timed_out', { limit: 'timeout' }),
  ]).find(someRun);
  if (!run) throw new Error('there is no run');
  const task = { title: 'T', tool: 'node', deps: [] };
  const plan = {
    tasks: [
      { ...task, id: 'build' },
      { ...task, id: 'test', deps: ['build'] },
    ],
  };
  const view = viewOf(run, plan as never);
  expect(view).toMatchObject({ state: 'running', submittedBy: 'ada', image: 'image' });
  expect(view.tasks).toMatchObject([
    { id: 'build', state: 'timed_out', limit: 'timeout', artifacts: [{ name: 'dist' }] },
    { id: 'test', state: 'waiting', attempt: 0, deps: ['build'], artifacts: [] },
  ]);
  expect(viewOf(run, undefined).tasks).toMatchObject([{ id: 'build', state: 'timed_out' }]);
  expect(rowOf(run)).toMatchObject({ tasks: { succeeded: 0, failed: 1 } });
});
