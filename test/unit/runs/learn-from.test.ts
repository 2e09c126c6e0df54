import { expect, test } from 'vitest';
import { learnFromPast } from '#daemon/runs/learn-from.ts';
import { Durations } from '#daemon/scheduler/durations.ts';
import { Demands } from '#daemon/scheduler/demands.ts';
import { Orchestra } from '#test/support/orchestra.ts';

const build = { id: 'build', tool: 'node', args: ['build.js'] };
const lint = { id: 'lint', tool: 'node', args: ['lint.js'] };
const task = (args: string[]) => ({ tool: 'node', args, cwd: '.' });

test('what tasks took is known to the next daemon, and nothing of those that failed', async () => {
  await using it = await Orchestra.open({ programs: new Map([['lint', { exitCode: 1 }]]) });
  await it.run([build, lint]);
  const durations = new Durations();
  const demands = new Demands({ tasks: 1 });
  const { states, blobs, learning } = it.rooms.deps;
  await learnFromPast({ states, blobs, durations, demands, learning }, AbortSignal.timeout(10_000));
  expect(durations.p50(task(['build.js']))).toBeLessThan(20_000);
  const other = new Durations();
  expect(other.knows(task(['build.js']))).toBe(false);
  expect(durations.p50(task(['lint.js']))).toBeGreaterThan(durations.p50(task(['build.js'])));
});

test('a daemon that is stopping learns nothing more', async () => {
  await using it = await Orchestra.open();
  await it.run([build]);
  const { states, blobs, demands, learning } = it.rooms.deps;
  const durations = new Durations();
  await learnFromPast({ states, blobs, durations, demands, learning }, AbortSignal.abort());
  expect(durations.knows(task(['build.js']))).toBe(false);
});
