import fc from 'fast-check';
import { expect, test } from 'vitest';
import { systemClock } from '#daemon/base/clock.ts';
import { adoptSandbox, msFrozen, msSince, type AdoptRequest } from '#daemon/sandbox/adopt.ts';
import type { SandboxControl } from '#daemon/sandbox/control.ts';
import { keepOutput, openFakeSandboxes } from '#test/support/fake-sandbox.ts';
import type { Script } from '#test/support/fake-engine.ts';
import { testLimits, testSpec } from '#test/support/sandbox-spec.ts';

const context = { run: 'r-0000000000', task: 'build', attempt: 1 };
const clock = systemClock();
const ago = (ms: number) => ({
  ts: new Date(Date.now() - ms).toISOString(),
  mono: clock.mono() - ms * 1000,
  boot: clock.boot,
});

/** A task that one daemon let go, and what the next one has of it. */
async function leftBy(script: Script, limits: Partial<typeof testLimits> = {}) {
  const spec = testSpec({ limits: { ...testLimits, ...limits } });
  const before = openFakeSandboxes(script);
  const permit = before.office.mint(spec);
  const { id } = await before.engine.create(permit, context);
  await before.engine.attach(id);
  await before.engine.start(id, context);
  await before.engine.release(id, permit, context);
  const { fake } = before;
  const next = () => {
    const it = openFakeSandboxes({}, { fake });
    const output = keepOutput();
    const adopt = async (change: Partial<AdoptRequest> = {}) => {
      const permit = it.office.mint(spec);
      const adopted = await it.engine.adopt(id, permit, context);
      if (adopted === undefined) throw new Error('it is gone');
      const { signal } = new AbortController();
      const request = { permit, context, output, signal, adopted, released: ago(0), ...change };
      return adoptSandbox(it.deps, request);
    };
    return { ...it, output, adopt };
  };
  return { fake, id, before, next };
}

test('a task goes on under the next daemon, which tells how it ended and takes it away', async () => {
  const { next, fake } = await leftBy({ delayMs: 30, exitCode: 3, output: [[1, 'said']] });
  const { adopt, log, output, slots } = next();
  expect(await adopt()).toMatchObject({ outcome: 'exited', exitCode: 3, outputBytes: 4 });
  expect(output.text(1)).toBe('said');
  await slots.settled();
  expect(fake.left).toEqual([]);
  expect(log.story).toEqual([
    'container.adopted',
    'container.exited failed',
    'container.remove intent',
    'container.remove result',
  ]);
});

test('it has the rest of its time, not all of it again', async () => {
  const { next } = await leftBy({ hang: true }, { timeoutMs: 20_000 });
  const result = await next().adopt({ released: ago(60_000) });
  expect(result).toMatchObject({ outcome: 'timed_out', limit: 'timeout' });
  expect(result.durationMs).toBeGreaterThanOrEqual(60_000);
});

test('what it stood still before does not count', async () => {
  const { next } = await leftBy({ delayMs: 10 }, { timeoutMs: 20_000 });
  const result = await next().adopt({ released: ago(60_000), frozenMs: 59_000 });
  expect(result).toMatchObject({ outcome: 'exited', exitCode: 0 });
});

test('what is found frozen stays so, without a limit running out, until it is thawed', async () => {
  const { next, before, id } = await leftBy({ delayMs: 5 }, { timeoutMs: 10_000 });
  await before.engine.freeze(id, context);
  const running = Promise.withResolvers<SandboxControl>();
  const { adopt, fake } = next();
  const result = adopt({ released: ago(9_000), onRunning: running.resolve });
  const control = await running.promise;
  expect((await fake.list({}))[0]?.status).toBe('paused');
  await control.thaw();
  expect(await result).toMatchObject({ outcome: 'exited', exitCode: 0 });
});

test('output that was kept before counts for the limit', async () => {
  const { next } = await leftBy(
    { hang: true, output: [[1, 'x'.repeat(600)]] },
    { outputBytes: 1000 },
  );
  const { adopt, output } = next();
  const kept = { stdoutBytes: 300, stderrBytes: 200 };
  expect(await adopt({ kept })).toMatchObject({
    outcome: 'limit',
    limit: 'output',
    stdoutBytes: 800,
    stderrBytes: 200,
    outputDroppedBytes: 100,
  });
  expect(output.text(1)).toBe('x'.repeat(500));
});

test('one that ended meanwhile keeps its result, whatever is asked for now and however late', async () => {
  const { next, before, id } = await leftBy({ exitCode: 4 }, { timeoutMs: 20_000, idleMs: 20_000 });
  await before.engine.wait(id);
  const { adopt, fake, slots } = next();
  const result = await adopt({ released: ago(10_000), signal: AbortSignal.abort() });
  expect(result).toMatchObject({ outcome: 'exited', exitCode: 4, outputBytes: 0 });
  expect(fake.calls.filter((call) => call.startsWith('signal'))).toEqual([]);
  await slots.settled();
  expect(fake.left).toEqual([]);
});

test('one that met the deadline of its own, with no daemon there, has timed out', async () => {
  const { next, before, id } = await leftBy({ exitCode: 137 }, { timeoutMs: 5_000 });
  await before.engine.wait(id);
  const result = await next().adopt({ released: ago(35_000) });
  expect(result).toMatchObject({ outcome: 'timed_out', limit: 'timeout', exitCode: 137 });
});

test('what cannot be followed is taken away all the same', async () => {
  const { next, fake } = await leftBy({ hang: true });
  const { adopt, slots } = next();
  fake.failNext('wait');
  await expect(adopt()).rejects.toMatchObject({ code: 'engine.failed' });
  await slots.settled();
  expect(fake.left).toEqual([]);
});

test('within one boot the time of day may jump as it likes', () => {
  const ms = fc.integer({ min: 0, max: 10 ** 9 });
  fc.assert(
    fc.property(ms, ms, fc.integer({ min: -(10 ** 9), max: 10 ** 9 }), (at, later, jump) => {
      const then = { ts: new Date(10 ** 12 + at).toISOString(), mono: at * 1000, boot: 'one' };
      const now = { now: () => 10 ** 12 + later + jump, mono: () => later * 1000 };
      expect(msSince(then, { ...now, boot: 'one' })).toBe(Math.max(0, later - at));
      expect(msSince(then, { ...now, boot: 'two' })).toBe(Math.max(0, later + jump - at));
    }),
  );
});

test('what stood still is counted from each freezing to the next thawing, the last one to now', () => {
  const act = (word: 'freeze' | 'thaw', ms: number) => ({
    type: `container.${word}` as const,
    ts: '',
    mono: ms * 1000,
    boot: 'one',
  });
  const now = { now: () => 0, mono: () => 1000 * 1000, boot: 'one' };
  expect(msFrozen([], now)).toBe(0);
  expect(msFrozen([act('thaw', 50)], now)).toBe(0);
  expect(msFrozen([act('freeze', 100), act('freeze', 200), act('thaw', 300)], now)).toBe(200);
  expect(
    msFrozen([act('freeze', 100), act('thaw', 300), act('thaw', 400), act('freeze', 900)], now),
  ).toBe(300);
});
