import { expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import type { Verb } from '#test/support/fake-engine.ts';
import { keepOutput, openFakeSandboxes } from '#test/support/fake-sandbox.ts';
import { testLimits } from '#test/support/sandbox-spec.ts';
import { runInSandbox } from '#daemon/sandbox/sandbox.ts';

const context = { run: 'r-0000000000', task: 'build', attempt: 1 };
const never = new AbortController().signal;

test('a task that succeeds goes through create, attach, start, release, wait and remove', async () => {
  const { fake, deps, permit, log } = openFakeSandboxes({ output: [[1, 'hello']] });
  const output = keepOutput();
  const result = await runInSandbox(deps, { permit: permit(), context, output, signal: never });
  expect(result).toMatchObject({ outcome: 'exited', exitCode: 0, stdoutBytes: 5, stderrBytes: 0 });
  expect(output.text(1)).toBe('hello');
  await deps.slots.settled();
  expect(fake.calls).toEqual(['create', 'attach', 'start', 'release', 'wait', 'remove']);
  await deps.slots.settled();
  expect(fake.left).toEqual([]);
  expect(log.story).toEqual([
    'container.create intent',
    'container.create result',
    'container.start intent',
    'container.start result',
    'container.release intent',
    'container.release result',
    'container.exited',
    'container.remove intent',
    'container.remove result',
  ]);
});

test('a task that fails is a result with its exit code and signal', async () => {
  const { deps, permit } = openFakeSandboxes({ exitCode: 139 });
  const request = { permit: permit(), context, output: keepOutput(), signal: never };
  expect(await runInSandbox(deps, request)).toMatchObject({
    outcome: 'exited',
    exitCode: 139,
    signal: 'SIGSEGV',
  });
});

test('a task past its time is asked to end, then killed, and both are on record', async () => {
  const { fake, deps, permit, log } = openFakeSandboxes({ hang: true, survives: 'SIGTERM' });
  const limits = { ...testLimits, timeoutMs: 20 };
  const request = { permit: permit({ limits }), context, output: keepOutput(), signal: never };
  expect(await runInSandbox(deps, request)).toMatchObject({
    outcome: 'timed_out',
    limit: 'timeout',
    exitCode: 137,
  });
  expect(fake.calls.filter((call) => call.startsWith('signal'))).toEqual([
    'signal SIGTERM',
    'signal SIGKILL',
  ]);
  expect(log.of('container.killed')[0]?.data.why).toBe('timeout');
  const [exceeded] = log.of('limit.exceeded');
  expect(exceeded?.data).toMatchObject({ attempt: 1, limit: 'timeout', allowed: 20 });
  expect(exceeded?.data.peak).toBeGreaterThanOrEqual(20);
  await deps.slots.settled();
  expect(fake.left).toEqual([]);
});

test('a task that outlives its kill is an error of the engine, and removal is tried all the same', async () => {
  const { fake, deps, permit } = openFakeSandboxes(
    { hang: true, survives: 'SIGKILL' },
    { deadlineMs: 50 },
  );
  const limits = { ...testLimits, timeoutMs: 10 };
  const request = { permit: permit({ limits }), context, output: keepOutput(), signal: never };
  await expect(runInSandbox(deps, request)).rejects.toMatchObject({ code: 'engine.failed' });
  await deps.slots.settled();
  expect(fake.calls.at(-1)).toBe('remove');
});

test.each<Verb>(['create', 'attach', 'start', 'release', 'wait'])(
  'cancelled during %s, a task leaves no container and never runs on',
  async (verb) => {
    const { fake, deps, permit } = openFakeSandboxes({ hang: true });
    const controller = new AbortController();
    fake.onCall = (called) => {
      if (called === verb) controller.abort();
    };
    const request = { permit: permit(), context, output: keepOutput(), signal: controller.signal };
    const result = await runInSandbox(deps, request);
    expect(result.outcome).toBe('cancelled');
    await deps.slots.settled();
    expect(fake.left).toEqual([]);
    if (verb !== 'release' && verb !== 'wait') expect(fake.calls).not.toContain('release');
  },
);

test('cancelled before anything, a task makes no container', async () => {
  const { fake, deps, permit } = openFakeSandboxes();
  const request = { permit: permit(), context, output: keepOutput(), signal: AbortSignal.abort() };
  expect((await runInSandbox(deps, request)).outcome).toBe('cancelled');
  expect(fake.calls).toEqual([]);
});

test('the first cause wins: a cancellation after the time-out changes nothing', async () => {
  const { fake, deps, permit } = openFakeSandboxes({ hang: true, survives: 'SIGTERM' });
  const controller = new AbortController();
  fake.onCall = (verb) => {
    if (verb === 'signal') controller.abort();
  };
  const limits = { ...testLimits, timeoutMs: 10 };
  const request = {
    permit: permit({ limits }),
    context,
    output: keepOutput(),
    signal: controller.signal,
  };
  expect((await runInSandbox(deps, request)).outcome).toBe('timed_out');
});

test('a flood of output is cut at the limit with a remark, and the task is killed', async () => {
  const flood = Array.from({ length: 50 }, () => [1, 'x'.repeat(1000)] as const);
  const { fake, deps, permit, log } = openFakeSandboxes({ hang: true, output: flood });
  const output = keepOutput();
  const limits = { ...testLimits, outputBytes: 2500 };
  const request = { permit: permit({ limits }), context, output, signal: never };
  expect(await runInSandbox(deps, request)).toMatchObject({
    outcome: 'limit',
    limit: 'output',
    outputBytes: 2500,
    outputTruncated: true,
    outputDroppedBytes: 47_500,
  });
  expect(output.text(1)).toBe('x'.repeat(2500));
  // On a stream of its own: what the task itself wrote cannot be taken for it.
  expect(output.text(2)).toBe('');
  expect(output.text(0)).toContain('output limit of 2500 bytes');
  expect(output.text(0)).toContain('47500 more bytes were dropped');
  expect(log.of('container.exited')[0]?.data.output_dropped_bytes).toBe(47_500);
  expect(fake.calls).toContain('signal SIGKILL');
  expect(log.of('limit.exceeded')[0]?.data.limit).toBe('output');
});

test('output of exactly the limit is not cut', async () => {
  const { deps, permit } = openFakeSandboxes({ output: [[1, 'x'.repeat(2500)]] });
  const limits = { ...testLimits, outputBytes: 2500 };
  const request = { permit: permit({ limits }), context, output: keepOutput(), signal: never };
  expect(await runInSandbox(deps, request)).toMatchObject({
    outcome: 'exited',
    outputTruncated: false,
  });
});

test('the next piece of output is taken only once the last one is written', async () => {
  const { deps, permit } = openFakeSandboxes({
    output: [
      [1, 'a'],
      [2, 'b'],
      [1, 'c'],
    ],
  });
  let writing = 0;
  let most = 0;
  const output = {
    async write() {
      most = Math.max(most, ++writing);
      await new Promise((resolve) => {
        setTimeout(resolve, 2);
      });
      writing -= 1;
    },
  };
  await runInSandbox(deps, { permit: permit(), context, output, signal: never });
  expect(most).toBe(1);
});

test('a sink that fails ends the task, and its own error comes out', async () => {
  const { fake, deps, permit } = openFakeSandboxes({ hang: true, output: [[1, 'a']] });
  const failure = new OrchestraError('disk.full', 'no room');
  const output = { write: () => Promise.reject(failure) };
  await expect(
    runInSandbox(deps, { permit: permit(), context, output, signal: never }),
  ).rejects.toBe(failure);
  expect(fake.calls).toContain('signal SIGKILL');
  await deps.slots.settled();
  expect(fake.left).toEqual([]);
});

test('an engine that makes the container and loses the answer leaves none behind', async () => {
  const { fake, deps, permit, log } = openFakeSandboxes();
  fake.failNext('create', 'lose');
  const request = { permit: permit(), context, output: keepOutput(), signal: never };
  await expect(runInSandbox(deps, request)).rejects.toMatchObject({ code: 'engine.unavailable' });
  await deps.slots.settled();
  expect(fake.left).toEqual([]);
  expect(log.story).toContain('container.create result unknown');
});

test('a start whose answer is lost ends in removal, not in a task that runs on', async () => {
  const { fake, deps, permit } = openFakeSandboxes({ hang: true });
  fake.failNext('start', 'lose');
  const request = { permit: permit(), context, output: keepOutput(), signal: never };
  await expect(runInSandbox(deps, request)).rejects.toMatchObject({ code: 'engine.unavailable' });
  await deps.slots.settled();
  expect(fake.left).toEqual([]);
});

test('a container that somebody else removes is an error of the engine', async () => {
  const { fake, deps, permit } = openFakeSandboxes({ hang: true });
  fake.onCall = (verb) => {
    if (verb === 'wait') setTimeout(() => fake.vanish(permit().spec.name), 5);
  };
  const request = { permit: permit(), context, output: keepOutput(), signal: never };
  await expect(runInSandbox(deps, request)).rejects.toMatchObject({ code: 'engine.failed' });
});

test('a failed removal does not hide the result, and is on record', async () => {
  const { fake, deps, permit, log } = openFakeSandboxes();
  fake.failNext('remove');
  const request = { permit: permit(), context, output: keepOutput(), signal: never };
  expect((await runInSandbox(deps, request)).exitCode).toBe(0);
  await deps.slots.settled();
  expect(log.story).toContain('container.remove result failed');
});

test('when the log blocks in the middle, the task is killed rather than left running', async () => {
  const { fake, deps, permit, log } = openFakeSandboxes({ hang: true });
  fake.onCall = (verb) => {
    if (verb === 'start') log.block();
  };
  const request = { permit: permit(), context, output: keepOutput(), signal: never };
  await expect(runInSandbox(deps, request)).rejects.toMatchObject({ code: 'audit.unavailable' });
  await deps.slots.settled();
  expect(fake.calls.at(-1)).toBe('signal SIGKILL');
});

test.each([0, 137])(
  'a kill for memory is the memory limit, also when the exit code is %i',
  async (exitCode) => {
    const { deps, permit, log } = openFakeSandboxes({ exitCode, oomKilled: true });
    const request = { permit: permit(), context, output: keepOutput(), signal: never };
    const result = await runInSandbox(deps, request);
    expect(result).toMatchObject({ outcome: 'limit', limit: 'memory', oomKilled: true, exitCode });
    expect(log.of('container.oom_killed')[0]?.data.memory_bytes).toBe(testLimits.memoryBytes);
    expect(log.of('limit.exceeded')).toHaveLength(1);
  },
);
