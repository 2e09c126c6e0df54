import { beforeEach, expect, test } from 'vitest';
import type { AnyRecord, RecordData } from '#contract/records.ts';
import { ActionHistory } from '#daemon/runs/failures/action-history.ts';

const action = `sha256:${'a'.repeat(64)}` as const;
let history: ActionHistory;

beforeEach(() => {
  history = new ActionHistory();
});

function see(type: AnyRecord['type'], data: object, { run = 'r-1', task = 'test' } = {}): void {
  history.fold({ type, data, run, obj: { task } } as unknown as AnyRecord);
}

type Options = { type?: AnyRecord['type']; key?: string; run?: string };

function attempt(
  ended: Partial<RecordData<'attempt.ended'>>,
  { type = 'task.finished', key = action, run = 'r-1' }: Options = {},
): void {
  see('task.started', { attempt: 1, ...(key === 'none' ? {} : { action: key }) }, { run });
  see(type, { attempt: 1, ...ended }, { run });
}

test('nothing is known of an action that nobody ran, nor of a task without one', () => {
  attempt({ outcome: 'failed', exit_code: 1 }, { key: 'none' });
  expect([history.passedIn(action), history.hasFailed(action)]).toEqual([undefined, false]);
  expect([history.passedIn(undefined), history.hasFailed(undefined)]).toEqual([undefined, false]);
});

test('an attempt that failed is remembered, whether another one came or not', () => {
  attempt({ outcome: 'failed', exit_code: 1 }, { type: 'attempt.ended' });
  expect(history.hasFailed(action)).toBe(true);
});

test('one that passed is known with its run, the last one', () => {
  attempt({ outcome: 'succeeded', exit_code: 0 }, { run: 'r-1' });
  attempt({ outcome: 'succeeded', exit_code: 0 }, { run: 'r-2' });
  expect(history.passedIn(action)).toBe('r-2');
  expect(history.hasFailed(action)).toBe(false);
});

test('both are kept, so what fails after it passed is flaky, and what passes after it failed', () => {
  attempt({ outcome: 'succeeded', exit_code: 0 });
  attempt({ outcome: 'failed', exit_code: 1 });
  expect([history.passedIn(action), history.hasFailed(action)]).toEqual(['r-1', true]);
});

test.each([
  ['cut off by us', { outcome: 'failed', reason: 'engine.failed: …' }],
  ['lost', { outcome: 'lost' }],
  ['cancelled', { outcome: 'cancelled', exit_code: 143 }],
  ['out of time', { outcome: 'timed_out', exit_code: 137, limit: 'timeout' }],
  [
    'over a limit, which is no part of the key',
    { outcome: 'failed', exit_code: 137, limit: 'memory' },
  ],
  ['a violation', { outcome: 'violated', exit_code: 159 }],
  ['unknown', { outcome: 'unknown' }],
] as const)('an attempt that was %s says nothing about its action', (_, ended) => {
  attempt(ended);
  expect([history.passedIn(action), history.hasFailed(action)]).toEqual([undefined, false]);
});

test('tasks of one name in two runs are not mixed up', () => {
  const other = `sha256:${'b'.repeat(64)}`;
  see('task.started', { attempt: 1, action }, { run: 'r-1' });
  see('task.started', { attempt: 1, action: other }, { run: 'r-2' });
  see('task.finished', { outcome: 'failed', exit_code: 1 }, { run: 'r-2' });
  see('task.finished', { outcome: 'succeeded', exit_code: 0 }, { run: 'r-1' });
  expect([history.passedIn(action), history.hasFailed(action)]).toEqual(['r-1', false]);
  expect([history.passedIn(other), history.hasFailed(other)]).toEqual([undefined, true]);
});

test('what a later attempt without a key does is not put down to the earlier one', () => {
  see('task.started', { attempt: 1, action });
  attempt({ outcome: 'failed', exit_code: 1 }, { key: 'none' });
  expect(history.hasFailed(action)).toBe(false);
});

test('an end that comes after its run was closed says nothing', () => {
  see('task.started', { attempt: 1, action });
  see('run.closed', {});
  see('task.finished', { outcome: 'failed', exit_code: 1 });
  expect(history.hasFailed(action)).toBe(false);
});

test('only so many are remembered, and the ones heard of last', () => {
  history = new ActionHistory({ max: 2 });
  for (const key of ['a', 'b', 'a', 'c']) attempt({ outcome: 'failed', exit_code: 1 }, { key });
  expect(['a', 'b', 'c'].map((key) => history.hasFailed(key))).toEqual([true, false, true]);
});
