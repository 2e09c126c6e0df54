import { expect, test } from 'vitest';
import { RunId } from '#contract/ids.ts';
import { systemClock } from '#daemon/base/clock.ts';
import { deadlineSignal, within } from '#daemon/base/deadline.ts';
import { deepFreeze } from '#daemon/base/freeze.ts';
import { newRequestId, newRunId } from '#daemon/base/ids.ts';

test('work that is too late is reported as late', async () => {
  const never = new Promise<never>(() => {});
  await expect(within(never, 5, () => new Error('late'))).rejects.toThrow('late');
});

test('work in time keeps its result or its own error', async () => {
  expect(await within(Promise.resolve(7), 1_000, () => new Error('late'))).toBe(7);
  const broken = Promise.reject(new Error('broken'));
  await expect(within(broken, 1_000, () => new Error('late'))).rejects.toThrow('broken');
});

test('a deadline signal follows the signal of its caller', () => {
  const caller = new AbortController();
  const signal = deadlineSignal(60_000, caller.signal);
  caller.abort(new Error('stop'));
  expect(signal.aborted).toBe(true);
});

test('ids fit the contract and differ', () => {
  const ids = Array.from({ length: 500 }, newRunId);
  for (const id of ids) expect(RunId.safeParse(id).success).toBe(true);
  expect(new Set(ids).size).toBe(500);
  expect(newRequestId()).not.toBe(newRequestId());
});

test('freezing reaches the last leaf', () => {
  const tree = deepFreeze({ a: [{ b: { c: 1 } }] });
  expect(() => {
    (tree.a[0] as unknown as { b: { c: number } }).b.c = 2;
  }).toThrow(TypeError);
});

test('the monotonic clock does not fall', () => {
  const clock = systemClock();
  const first = clock.mono();
  expect(clock.mono()).toBeGreaterThanOrEqual(first);
  expect(Number.isSafeInteger(first)).toBe(true);
  expect(clock.boot.length).toBeGreaterThan(0);
});
