import { expect, test } from 'vitest';
import { judgeExit } from '#daemon/sandbox/judge.ts';
import { testLimits as limits } from '#test/support/sandbox-spec.ts';

const nothing = { memoryPeakBytes: 0, cpuMs: 0, forksRefused: 0 };
const exit = (exitCode: number, oomKilled = false) => ({
  by: 'engine' as const,
  exitCode,
  oomKilled,
  startedAt: '',
  finishedAt: '',
});
const judge = (facts: Partial<Parameters<typeof judgeExit>[0]>) =>
  judgeExit({ exit: exit(0), cause: undefined, usage: nothing, limits, ...facts });

test('a kill for memory is the memory limit', () => {
  expect(judge({ exit: exit(137, true) })).toMatchObject({ outcome: 'limit', limit: 'memory' });
});

test('a kill at the limit counts as memory where the engine does not say so', () => {
  const usage = { ...nothing, memoryPeakBytes: limits.memoryBytes };
  expect(judge({ exit: exit(137), usage })).toMatchObject({ limit: 'memory' });
});

test('a kill far below the limit is no memory limit', () => {
  const usage = { ...nothing, memoryPeakBytes: limits.memoryBytes / 2 };
  expect(judge({ exit: exit(137), usage })).toEqual({
    outcome: 'exited',
    exitCode: 137,
    signal: 'SIGKILL',
  });
});

test('a child that was killed for memory does not fail a task that succeeds', () => {
  expect(judge({ exit: exit(0, true) })).toEqual({ outcome: 'exited', exitCode: 0 });
});

test('a file past its size is the file size limit', () => {
  expect(judge({ exit: exit(153) })).toMatchObject({ limit: 'file_size', signal: 'SIGXFSZ' });
});

test('refused processes count only for a task that failed', () => {
  const usage = { ...nothing, forksRefused: 3 };
  expect(judge({ exit: exit(1), usage })).toMatchObject({ outcome: 'limit', limit: 'pids' });
  expect(judge({ exit: exit(0), usage })).toEqual({ outcome: 'exited', exitCode: 0 });
});

test('what Orchestra ended it for comes before what the exit code says', () => {
  const killed = { exit: exit(137, true) };
  expect(judge({ ...killed, cause: 'timeout' })).toMatchObject({ outcome: 'timed_out' });
  expect(judge({ ...killed, cause: 'cancelled' })).toMatchObject({ outcome: 'cancelled' });
  expect(judge({ ...killed, cause: 'output' })).toMatchObject({ limit: 'output' });
});
