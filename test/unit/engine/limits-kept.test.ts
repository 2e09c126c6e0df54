import { expect, test } from 'vitest';
import { assertLimitsKept } from '#daemon/engine/limits-kept.ts';
import { FakeEngine } from '#test/support/fake-engine.ts';

test('an engine that keeps no limits on memory, processes or time is refused, and they are named', async () => {
  const facts = await new FakeEngine().facts();
  for (const name of ['memory', 'pids', 'cpu'] as const) {
    const limits = { ...facts.limits, [name]: false };
    expect(() => assertLimitsKept({ ...facts, limits })).toThrow(`no limits on ${name}`);
  }
  const none = { memory: false, swap: false, pids: false, cpu: false };
  expect(() => assertLimitsKept({ ...facts, limits: none })).toThrow('memory, pids, cpu');
});

test('an engine that only keeps no account of swap is taken: there is none or it is off', async () => {
  const facts = await new FakeEngine().facts();
  const limits = { ...facts.limits, swap: false };
  expect(assertLimitsKept({ ...facts, limits })).toMatchObject({ limits });
});
