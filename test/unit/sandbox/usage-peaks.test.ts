import { expect, test } from 'vitest';
import { higher, ofTheTask } from '#daemon/sandbox/usage-peaks.ts';

const some = { memoryPeakBytes: 10, cpuMs: 5, forksRefused: 0 };

test('the higher of two readings stays, whichever came first', () => {
  const low = { ...some, tmpBytes: 1, oomKills: 0 };
  const high = { ...some, tmpBytes: 9, oomKills: 1, memoryPeakBytes: 20 };
  expect(higher(low, high)).toEqual(high);
  expect(higher(high, low)).toEqual(high);
});

test('what nobody could tell is not made up, and what was told once is kept', () => {
  expect(higher(some, some)).toEqual(some);
  expect(higher({ ...some, pidsPeak: 3 }, some)).toEqual({ ...some, pidsPeak: 3 });
});

test('processes are those of the later reading', () => {
  const [before, now] = [
    { ...some, processes: [1, 2] },
    { ...some, processes: [2] },
  ];
  expect(higher(before, now).processes).toEqual([2]);
  expect(higher(before, some).processes).toEqual([1, 2]);
});

test('open files of a kernel that the runtime brings are not the task’s', () => {
  const usage = { ...some, openFiles: 90 };
  expect(ofTheTask(usage, 'runc')).toEqual(usage);
  expect(ofTheTask(usage, 'runsc')).toEqual(some);
});
