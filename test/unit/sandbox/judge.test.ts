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

test.each([0, 1, 137])('a process killed for memory is the memory limit, exit %i', (code) => {
  expect(judge({ exit: exit(code, true) })).toMatchObject({ outcome: 'limit', limit: 'memory' });
  const usage = { ...nothing, oomKills: 1, memoryPeakBytes: 7 };
  expect(judge({ exit: exit(code), usage })).toMatchObject({
    outcome: 'limit',
    exceeded: { limit: 'memory', allowed: limits.memoryBytes, peak: 7 },
  });
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

test('a file past its size is the file size limit', () => {
  expect(judge({ exit: exit(153) })).toMatchObject({ limit: 'file_size', signal: 'SIGXFSZ' });
});

test.each([0, 1])('a refused process is the limit of processes, exit %i', (code) => {
  const usage = { ...nothing, forksRefused: 3, pidsPeak: limits.pids };
  expect(judge({ exit: exit(code), usage })).toMatchObject({
    outcome: 'limit',
    exceeded: { limit: 'pids', allowed: limits.pids, peak: limits.pids },
  });
});

test.each([
  ['disk', { bytes: limits.diskBytes + 1, files: 1 }, limits.diskBytes + 1],
  ['disk_files', { bytes: 1, files: limits.diskFiles + 1 }, limits.diskFiles + 1],
] as const)(
  'what is left above the limit of %s fails a task that succeeded',
  (limit, disk, peak) => {
    expect(judge({ disk })).toMatchObject({ outcome: 'limit', exceeded: { limit, peak } });
  },
);

test('a layer exactly at its limits is none above them', () => {
  const disk = { bytes: limits.diskBytes, files: limits.diskFiles };
  expect(judge({ disk })).toEqual({ outcome: 'exited', exitCode: 0 });
});

test.each([
  ['tmp', { tmpFullBytes: 4096 }, { allowed: 4096, peak: 4096 }],
  ['open_files', { openFiles: limits.openFiles }, { peak: limits.openFiles }],
] as const)('%s that was full is the reason only of a task that failed', (limit, full, said) => {
  const usage = { ...nothing, ...full };
  expect(judge({ exit: exit(0), usage })).toEqual({ outcome: 'exited', exitCode: 0 });
  expect(judge({ exit: exit(1), usage })).toMatchObject({
    outcome: 'limit',
    exceeded: { limit, ...said },
  });
});

test('silence ends a task as a limit of time', () => {
  const idle = { exit: exit(143), cause: 'idle', silentMs: limits.idleMs + 5 } as const;
  expect(judge(idle)).toMatchObject({
    outcome: 'timed_out',
    exceeded: { limit: 'idle', allowed: limits.idleMs, peak: limits.idleMs + 5 },
  });
});

test('what Orchestra ended it for comes before what the exit code says', () => {
  const killed = { exit: exit(137, true) };
  expect(judge({ ...killed, cause: 'timeout' })).toMatchObject({ outcome: 'timed_out' });
  expect(judge({ ...killed, cause: 'cancelled' })).toMatchObject({ outcome: 'cancelled' });
  expect(judge({ ...killed, cause: 'output' })).toMatchObject({ limit: 'output' });
});
