import { expect, test } from 'vitest';
import type { TaskState } from '#contract/run.ts';
import { closingOf } from '#daemon/runs/outcome.ts';
import type { RunFacts, TaskFacts } from '#daemon/runs/state.ts';
import { Stop, stopOf } from '#daemon/runs/stop.ts';

function runWith(...states: TaskState[]): RunFacts {
  const tasks = states.map((state, n): [string, TaskFacts] => [
    `t${n}`,
    { state, attempt: 1, artifacts: [], reason: `why ${n}` },
  ]);
  return { tasks: new Map(tasks) } as unknown as RunFacts;
}

const cancelled = new Stop('cancelled', 'asked');
const late = new Stop('timed_out', 'too long');
const stopping = new Stop('daemon_stopping', 'the daemon was stopped');
const lost = new Stop('engine_lost', 'the engine is gone');
const broke = new Stop('violated', 'it broke out');

test.each([
  ['nothing but success', runWith('succeeded', 'skipped'), undefined, 'succeeded', 0],
  ['no task at all', runWith(), undefined, 'succeeded', 0],
  ['a failed task', runWith('succeeded', 'failed', 'skipped'), undefined, 'failed', 2],
  ['a task of unknown end', runWith('unknown'), undefined, 'failed', 2],
  [
    'a timed-out task beside a failed one',
    runWith('failed', 'timed_out'),
    undefined,
    'timed_out',
    3,
  ],
  [
    'a violation beside everything else',
    runWith('failed', 'timed_out', 'violated'),
    late,
    'violated',
    4,
  ],
  ['a violation in a cancelled run', runWith('violated'), cancelled, 'violated', 4],
  ['a violation that stopped the run', runWith('cancelled'), broke, 'violated', 4],
  ['a cancelled run with a failed task', runWith('failed', 'cancelled'), cancelled, 'cancelled', 6],
  ['a daemon that stopped', runWith('cancelled'), stopping, 'cancelled', 6],
  ['a run past its time', runWith('succeeded', 'cancelled'), late, 'timed_out', 3],
  ['a lost engine', runWith('failed'), lost, 'failed', 5],
] as const)('%s', (_what, run, stop, outcome, exitCode) => {
  expect(closingOf(run, stop)).toMatchObject({ outcome, exitCode });
});

test('the reason names the failed tasks, five of them at most', () => {
  expect(closingOf(runWith('failed', 'succeeded', 'failed'), undefined).reason).toBe(
    't0, t2 failed',
  );
  const many = runWith(...Array<TaskState>(8).fill('failed'));
  expect(closingOf(many, undefined).reason).toBe('t0, t1, t2, t3, t4 and 3 more failed');
});

test('the reason of a stop or a violation is its own', () => {
  expect(closingOf(runWith('failed'), cancelled).reason).toBe('asked');
  expect(closingOf(runWith('succeeded', 'violated'), undefined).reason).toBe('why 1');
  expect(closingOf(runWith(), broke).reason).toBe('it broke out');
});

test('a signal says why it was aborted, and one without a word counts as cancelled', () => {
  expect(stopOf(new AbortController().signal)).toBeUndefined();
  expect(stopOf(AbortSignal.abort(late))).toBe(late);
  expect(stopOf(AbortSignal.abort())).toMatchObject({ kind: 'cancelled' });
});
