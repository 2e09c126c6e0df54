import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PlanTask } from '#contract/plan.ts';
import { ownerOf } from '#daemon/access/caller.ts';
import { learnedOf, plansFor, preferredTo } from '#daemon/planner/learning/advice.ts';
import { Learning } from '#daemon/planner/learning/learning.ts';
import { pitfallsOf } from '#daemon/planner/learning/pitfalls.ts';
import { digest, History, type PastTask } from '#test/support/histories.ts';

const whose = 'uid:1000';
const minute = 60_000;

function task(id: string, { timeoutMs = 5 * minute, deps = [] as string[] } = {}): PlanTask {
  const limits = { timeoutMs } as PlanTask['limits'];
  return { id, tool: 'npm', args: [id], env: {}, cwd: '.', deps, limits } as unknown as PlanTask;
}

function pitfalls(history: History, ...tasks: PlanTask[]) {
  return pitfallsOf(tasks, { learning: history.learning, workspace: 'demo', whose });
}

const slow: PastTask = {
  family: 'npm test',
  outcome: 'timed_out',
  class: 'timeout',
  ms: 5 * minute,
  timeoutMs: 5 * minute,
};
const lucky: PastTask = { family: 'npm test', ms: 7 * minute, timeoutMs: 10 * minute };
const flaky: PastTask = {
  family: 'npm test',
  outcome: 'failed',
  class: 'flaky',
  rule: 'econnreset',
};

test('a time limit that was too short is warned of, with what nine of ten took', () => {
  const history = new History();
  for (let i = 0; i < 4; i += 1) history.run({ outcome: 'failed', tasks: [slow] });
  expect(pitfalls(history, task('test'))[0]).toMatchObject({ failed: 4, of: 4 });
  expect(pitfalls(history, task('test'))[0]?.suggestedTimeoutMs).toBe(10 * minute);
  for (let i = 0; i < 3; i += 1) history.run({ tasks: [lucky] });
  const [found] = pitfalls(history, task('test'));
  expect(found?.message).toBe(
    'npm test did not end within 5m00s in 7 of 7 attempts; nine of ten that succeed take up to 7m00s',
  );
  expect(found?.suggestedTimeoutMs).toBe(8.75 * minute);
  expect(pitfalls(history, task('test', { timeoutMs: 10 * minute }))).toEqual([]);
});

test('what was given less time than a task will have says nothing about it', () => {
  const history = new History();
  for (let i = 0; i < 4; i += 1) history.run({ tasks: [{ ...slow, timeoutMs: minute }] });
  expect(pitfalls(history, task('test'))).toEqual([]);
});

test('defects that tests find are no pitfalls, failures that another attempt mends are', () => {
  const history = new History();
  const broken: PastTask = { family: 'npm test', outcome: 'failed', class: 'code' };
  for (let i = 0; i < 5; i += 1) history.run({ tasks: [broken] });
  expect(pitfalls(history, task('test'))).toEqual([]);
  const other = new History();
  for (let i = 0; i < 3; i += 1) other.run({ tasks: [flaky, { family: 'npm test' }] });
  expect(pitfalls(other, task('test'))[0]).toMatchObject({
    message: 'npm test failed in 3 of 6 attempts: flaky (econnreset)',
    hint: 'another attempt helped 3 of 3 times',
  });
});

test('a step that was missing is named, until the plan has it', () => {
  const history = new History();
  const missing: PastTask = {
    family: 'npm test',
    outcome: 'failed',
    class: 'code',
    rule: 'module',
  };
  for (let i = 0; i < 3; i += 1) {
    history.run({ outcome: 'failed', tasks: [missing] });
    history.run({ tasks: [{ family: 'npm build' }, { family: 'npm test', after: ['npm build'] }] });
  }
  expect(pitfalls(history, task('test'))[0]?.hint).toBe('after npm build helped 3 of 3 times');
  expect(pitfalls(history, task('build'), task('test', { deps: ['build'] }))).toEqual([]);
});

test('runs of other people and other workspaces teach nothing here', () => {
  const history = new History();
  for (let i = 0; i < 5; i += 1) {
    history.run({ uid: 7, tasks: [slow] });
    history.run({ workspace: 'other', tasks: [slow] });
  }
  expect(pitfalls(history, task('test'))).toEqual([]);
  expect(learnedOf(history.learning, 'uid:7').families[0]?.failed).toBe(5);
  expect(learnedOf(history.learning, 'uid:8').families).toEqual([]);
});

test('what the machine did wrong is no fault of the task', () => {
  const history = new History();
  history.run({
    tasks: [{ family: 'npm test', outcome: 'failed', class: 'infra_transient' }],
    outcome: 'cancelled',
  });
  history.run({ tasks: [{ family: 'npm test', outcome: 'cancelled' }], outcome: 'cancelled' });
  expect(learnedOf(history.learning, undefined)).toMatchObject({ families: [], shapes: [] });
});

const aims = { goal: 'build test', kind: digest('a') };

test('a plan is preferred once it did better often enough, and never by one good time', () => {
  const history = new History();
  const situation = { learning: history.learning, whose, workspace: 'demo' };
  const offered = [task('test')];
  history.run({ ...aims, shape: digest('1') });
  expect(preferredTo(offered, aims, situation)).toBeUndefined();
  for (let i = 0; i < 40; i += 1) history.run({ ...aims, shape: digest('1') });
  expect(preferredTo(offered, aims, situation)?.shape).toBe(digest('1'));
  expect(preferredTo(offered, { ...aims, goal: 'lint' }, situation)).toBeUndefined();
  expect(preferredTo(offered, { ...aims, kind: digest('b') }, situation)).toBeUndefined();
  expect(preferredTo(offered, aims, { ...situation, whose: 'uid:7' })).toBeUndefined();
});

test('each person has one voice a run, and the newest word counts', () => {
  const history = new History();
  const run = history.run({ ...aims, shape: digest('1') });
  for (let i = 0; i < 1000; i += 1) history.rate(run, 'up');
  history.rate(run, 'down');
  history.rate(run, 'up', 0);
  expect(plansFor({ learning: history.learning, whose }, aims)[0]).toMatchObject({
    up: 1,
    down: 1,
  });
});

test('what is forgotten is gone: of one family, of one person, of all', () => {
  const history = new History();
  const both = () => {
    history.run({ ...aims, tasks: [slow, { family: 'npm lint' }] });
    history.run({ ...aims, uid: 7, tasks: [slow] });
  };
  both();
  history.forget({ family: 'npm test', owner: whose });
  const left = learnedOf(history.learning, undefined);
  expect(left.families.map(({ family, failed }) => [family, failed])).toEqual([
    ['npm lint', 0],
    ['npm test', 1],
  ]);
  expect(left.shapes).toHaveLength(1);
  history.forget({ owner: whose });
  expect(learnedOf(history.learning, whose)).toMatchObject({ families: [], shapes: [] });
  expect(learnedOf(history.learning, 'uid:7').shapes).toHaveLength(1);
  history.forget();
  expect(history.learning.all()).toEqual({ families: [], shapes: [] });
  both();
  expect(learnedOf(history.learning, undefined).families).toHaveLength(2);
});

test('what was let go with the log teaches nothing, live as after a start', () => {
  const history = new History();
  history.run({ tasks: [slow] });
  const cut = history.records.length;
  history.run({ tasks: [lucky] });
  history.note('log.pruned', { data: { to_seq: cut } });
  const anew = new Learning(ownerOf);
  for (const record of history.records.slice(cut)) anew.fold(record);
  expect(history.learning.all()).toEqual(anew.all());
  expect(learnedOf(anew, undefined).families[0]).toMatchObject({ passed: 1, failed: 0 });
});

test('the same log teaches the same, within bounds, whatever is asked in between', () => {
  const families = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const runs = fc.array(fc.record({ family: families, uid: fc.nat(2), ok: fc.boolean() }));
  fc.assert(
    fc.property(runs, (all) => {
      const history = new History({ keys: 3, samples: 4 });
      for (const { family, uid, ok } of all) {
        const outcome = ok ? 'succeeded' : 'failed';
        history.rate(history.run({ uid, outcome, tasks: [{ family, outcome }] }), 'up', uid);
        learnedOf(history.learning, `uid:${uid}`);
        pitfalls(history, task('a'));
      }
      const anew = new Learning(ownerOf, { keys: 3, samples: 4 });
      for (const record of history.records) anew.fold(record);
      expect(anew.all()).toEqual(history.learning.all());
      const known = learnedOf(anew, undefined).families;
      expect(known.length).toBeLessThanOrEqual(3);
      for (const { passed, failed } of known) expect(passed + failed).toBeLessThanOrEqual(4);
    }),
  );
});
