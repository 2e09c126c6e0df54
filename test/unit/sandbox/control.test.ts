import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { SandboxControl } from '#daemon/sandbox/control.ts';
import { runInSandbox } from '#daemon/sandbox/sandbox.ts';
import { keepOutput, openFakeSandboxes } from '#test/support/fake-sandbox.ts';
import type { Script } from '#test/support/fake-engine.ts';
import { testLimits } from '#test/support/sandbox-spec.ts';

const context = { run: 'r-0000000000', task: 'build', attempt: 1 };

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

async function begin(script: Script, limits: Partial<typeof testLimits> = {}) {
  const it = openFakeSandboxes(script);
  const controller = new AbortController();
  const running = Promise.withResolvers<SandboxControl>();
  const result = runInSandbox(it.deps, {
    permit: it.permit({ limits: { ...testLimits, ...limits } }),
    context,
    output: keepOutput(),
    signal: controller.signal,
    onRunning: running.resolve,
  });
  const control = await running.promise;
  const signals = () => it.fake.calls.filter((call) => call.startsWith('signal'));
  return { ...it, controller, result, control, signals };
}

test('a frozen task has all the time for as long as it stands still, and then the rest of its own', async () => {
  const { control, result, signals } = await begin({ hang: true }, { timeoutMs: 1000 });
  await vi.advanceTimersByTimeAsync(600);
  await control.freeze();
  await vi.advanceTimersByTimeAsync(100_000);
  expect(signals()).toEqual([]);
  await control.thaw();
  await vi.advanceTimersByTimeAsync(399);
  expect(signals()).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(await result).toMatchObject({ outcome: 'timed_out', limit: 'timeout', durationMs: 1000 });
});

test('the silence of a frozen task is not its own', async () => {
  const { control, result, signals } = await begin({ hang: true }, { idleMs: 1000 });
  await control.freeze();
  await vi.advanceTimersByTimeAsync(29_000);
  expect(signals()).toEqual([]);
  await control.thaw();
  await vi.advanceTimersByTimeAsync(1000);
  expect(await result).toMatchObject({ outcome: 'timed_out', limit: 'idle' });
});

test('a frozen task is cancelled all the same: it is thawed for it', async () => {
  const { control, controller, result, fake, log } = await begin({ hang: true });
  await control.freeze();
  controller.abort();
  expect((await result).outcome).toBe('cancelled');
  expect(fake.calls.filter((call) => /thaw|signal/.test(call))).toEqual(['thaw', 'signal SIGTERM']);
  expect(log.story.filter((one) => /freeze|thaw/.test(one))).toEqual([
    'container.freeze intent',
    'container.freeze result',
    'container.thaw intent',
    'container.thaw result',
  ]);
});

test('freezing twice is freezing once, and thawing what stands by no ice does nothing', async () => {
  const { control, result, fake } = await begin({ delayMs: 100 });
  await control.thaw();
  await Promise.all([control.freeze(), control.freeze(), control.thaw(), control.thaw()]);
  expect(fake.calls.filter((call) => /freeze|thaw/.test(call))).toEqual(['freeze', 'thaw']);
  await vi.advanceTimersByTimeAsync(100);
  expect((await result).exitCode).toBe(0);
  await control.freeze();
  await control.thaw();
  expect(fake.calls.filter((call) => /freeze|thaw/.test(call))).toHaveLength(2);
});

test('an engine that cannot freeze leaves the task and its clocks running', async () => {
  const { control, result, fake, log } = await begin({ hang: true }, { timeoutMs: 1000 });
  fake.failNext('freeze');
  await expect(control.freeze()).rejects.toMatchObject({ code: 'engine.failed' });
  expect(log.story).toContain('container.freeze result failed');
  await vi.advanceTimersByTimeAsync(1000);
  expect((await result).outcome).toBe('timed_out');
});

test('where the answer was lost, thawing is tried', async () => {
  const { control, result, fake } = await begin({ delayMs: 100 });
  fake.failNext('freeze', 'lose');
  await expect(control.freeze()).rejects.toMatchObject({ code: 'engine.unavailable' });
  await control.thaw();
  await vi.advanceTimersByTimeAsync(100);
  expect((await result).exitCode).toBe(0);
  expect(fake.calls).toContain('thaw');
});

test('with a blocked log nothing is frozen', async () => {
  const { control, controller, result, fake, log } = await begin({ hang: true });
  log.block();
  await expect(control.freeze()).rejects.toMatchObject({ code: 'audit.unavailable' });
  expect(fake.calls).not.toContain('freeze');
  controller.abort();
  await expect(result).rejects.toMatchObject({ code: 'audit.unavailable' });
});
