import { expect, test } from 'vitest';
import { Demands } from '#daemon/scheduler/demands.ts';

const MiB = 1024 ** 2;
const totals = { tasks: 4, cpuMilli: 4_000, memoryBytes: 8_192 * MiB };
const build = {
  tool: 'npm',
  args: ['run', 'build'],
  cwd: '.',
  limits: { cpuMilli: 2_000, memoryBytes: 4_096 * MiB },
  locks: ['dist'],
};

test('what never ran claims its even part, so as many run at once as there are places', () => {
  expect(new Demands(totals).claim(build)).toEqual({
    cpuMilli: 1_000,
    memoryBytes: 2_048 * MiB,
    locks: ['dist'],
  });
});

test('figures that were not measured, or are none, teach nothing', () => {
  const demands = new Demands(totals);
  demands.note(build, { cpuMs: 0, ms: 1_000, memoryPeakBytes: 0 });
  demands.note(build, { cpuMs: 5, ms: 0, memoryPeakBytes: -1 });
  demands.note(build, { cpuMs: Number.NaN, ms: Number.NaN, memoryPeakBytes: Number.NaN });
  expect(demands.claim(build)).toEqual(new Demands(totals).claim(build));
});

test('nobody claims more than its limits, whatever it took before', () => {
  const demands = new Demands(totals);
  demands.note(build, { cpuMs: 60_000, ms: 1_000, memoryPeakBytes: 64_000 * MiB });
  expect(demands.claim(build)).toMatchObject({ cpuMilli: 2_000, memoryBytes: 4_096 * MiB });
  const small = { ...build, limits: { cpuMilli: 100, memoryBytes: 16 * MiB } };
  expect(new Demands(totals).claim(small)).toMatchObject({
    cpuMilli: 100,
    memoryBytes: 16 * MiB,
  });
});

test('what ran before claims what it took, and of memory somewhat more', () => {
  const demands = new Demands(totals);
  for (let i = 0; i < 5; i += 1) {
    demands.note(build, { cpuMs: 1_400, ms: 1_000, memoryPeakBytes: 800 * MiB });
  }
  const { cpuMilli, memoryBytes } = demands.claim(build);
  expect(cpuMilli).toBeGreaterThan(1_250);
  expect(cpuMilli).toBeLessThan(1_550);
  expect(memoryBytes).toBeGreaterThan(880 * MiB);
  expect(memoryBytes).toBeLessThan(1_120 * MiB);
});

test('of memory counts what nearly all runs stayed below, of the processor the usual', () => {
  const demands = new Demands(totals);
  for (let i = 0; i < 50; i += 1) {
    const isLarge = i % 5 === 0;
    const memoryPeakBytes = (isLarge ? 2_000 : 100) * MiB;
    demands.note(build, { cpuMs: isLarge ? 2_000 : 200, ms: 1_000, memoryPeakBytes });
  }
  expect(demands.claim(build).memoryBytes).toBeGreaterThan(2_000 * MiB);
  expect(demands.claim(build).cpuMilli).toBeLessThan(250);
});

test('a machine of which only places are counted is claimed nothing else of', () => {
  const { cpuMilli, memoryBytes } = new Demands({ tasks: 4 }).claim(build);
  expect([cpuMilli, memoryBytes]).toEqual([0, 0]);
});
