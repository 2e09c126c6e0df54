import { expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import type { Permit } from '#daemon/policy/permit.ts';
import { openFakeSandboxes } from '#test/support/fake-sandbox.ts';
import { testLabels, testSpec } from '#test/support/sandbox-spec.ts';

const context = { run: 'r-0000000000', task: 'build', attempt: 1 };

test('a copy of a permit is worth nothing', async () => {
  const { engine, fake, log, permit } = openFakeSandboxes();
  const copies = [{ ...permit() }, { spec: testSpec() } as Permit, structuredClone(permit())];
  for (const copy of copies) {
    await expect(engine.create(copy, context)).rejects.toMatchObject({ code: 'internal.bug' });
  }
  expect(fake.calls).toEqual([]);
  expect(log.entries).toEqual([]);
});

test('a spec cannot be changed after it was judged', () => {
  const { permit } = openFakeSandboxes();
  const { spec } = permit();
  expect(() => {
    (spec.user as { uid: number }).uid = 0;
  }).toThrow(TypeError);
  expect(() => (spec.mounts as unknown[]).push({})).toThrow(TypeError);
});

test('a genuine permit below the floor makes no container and is on record as denied', async () => {
  const { engine, fake, log, permit } = openFakeSandboxes();
  const below = permit({ user: { uid: 0, gid: 0 } });
  await expect(engine.create(below, context)).rejects.toMatchObject({ code: 'policy.denied' });
  expect(fake.calls).toEqual([]);
  expect(log.story).toEqual(['policy.decided denied']);
});

test('a container that is not what was allowed is on record, removed, and never started', async () => {
  const { engine, fake, log, permit } = openFakeSandboxes();
  fake.tamper = (got) => ({ ...got, settings: { ...got.settings, readonly_root: false } });
  await expect(engine.create(permit(), context)).rejects.toMatchObject({
    code: 'sandbox.mismatch',
    places: [{ message: 'readonly_root' }],
  });
  expect(fake.calls).toEqual(['create', 'remove']);
  expect(fake.left).toEqual([]);
  expect(log.of('container.settings.mismatch')[0]).toMatchObject({
    outcome: 'denied',
    sev: 'alert',
    data: { differences: ['readonly_root: asked true, got false'] },
  });
});

test('every act is recorded before it happens and after it, under one request id', async () => {
  const { engine, fake, log, permit } = openFakeSandboxes({ hang: true });
  const before: string[][] = [];
  fake.onCall = () => void before.push([...log.story]);
  const { id } = await engine.create(permit(), context);
  await engine.start(id, context);
  await engine.signal(id, 'SIGTERM', { ...context, why: 'timeout' });
  await engine.remove(id, context);
  expect(before.map((story) => story.at(-1))).toEqual([
    'container.create intent',
    'container.start intent',
    'container.signal intent',
    'container.remove intent',
  ]);
  expect(log.entries).toHaveLength(8);
  for (let i = 0; i < 8; i += 2) {
    const [intent, result] = log.entries.slice(i, i + 2);
    expect([intent?.stage, result?.stage]).toEqual(['intent', 'result']);
    expect(intent?.req).toBe(result?.req);
    expect(intent).toMatchObject({ run: context.run, obj: { task: 'build' } });
  }
  expect(new Set(log.entries.map((entry) => entry.req)).size).toBe(4);
  expect(log.of('container.create')[1]?.data.settings?.network).toBe('none');
});

test.each(['create', 'start', 'signal', 'remove'] as const)(
  'without a record of the intent there is no %s',
  async (verb) => {
    const { engine, fake, log, permit } = openFakeSandboxes({ hang: true });
    const { id } = await engine.create(permit(), context);
    const calls = [...fake.calls];
    log.block();
    const acts = {
      create: () => engine.create(permit({ name: 'other' }), context),
      start: () => engine.start(id, context),
      signal: () => engine.signal(id, 'SIGTERM', context),
      remove: () => engine.remove(id, context),
    };
    await expect(acts[verb]()).rejects.toMatchObject({ code: 'audit.unavailable' });
    expect(fake.calls).toEqual(calls);
  },
);

test('with a blocked log a task can still be killed', async () => {
  const { engine, fake, log, permit } = openFakeSandboxes({ hang: true });
  const { id } = await engine.create(permit(), context);
  await engine.start(id, context);
  log.block();
  await engine.signal(id, 'SIGKILL', context);
  expect(fake.calls.at(-1)).toBe('signal SIGKILL');
});

test('an answer that cannot be recorded is not given out', async () => {
  const { engine, log, permit } = openFakeSandboxes();
  log.onAppend = (entry) => {
    if (entry.stage === 'result') log.block();
  };
  await expect(engine.create(permit(), context)).rejects.toMatchObject({
    code: 'audit.unavailable',
  });
});

test('a refusal is recorded as failed, a lost answer as unknown', async () => {
  const { engine, fake, log, permit } = openFakeSandboxes();
  for (const fault of ['fail', 'lose'] as const) {
    const { id } = await engine.create(permit({ name: `box-${fault}` }), context);
    fake.failNext('start', fault);
    await expect(engine.start(id, context)).rejects.toThrow(`told to ${fault}`);
  }
  expect(log.of('container.start').map(({ outcome }) => outcome)).toEqual([
    undefined,
    'failed',
    undefined,
    'unknown',
  ]);
  expect(log.of('container.start')[1]?.data.reason).toContain('told to fail');
});

test('only a container that was compared is started, and only once', async () => {
  const { engine, fake, log, permit } = openFakeSandboxes();
  const foreign = await fake.create(permit({ name: 'foreign' }));
  await expect(engine.start(foreign.id, context)).rejects.toMatchObject({ code: 'engine.failed' });
  const { id } = await engine.create(permit(), context);
  await engine.start(id, context);
  await expect(engine.start(id, context)).rejects.toMatchObject({ code: 'engine.failed' });
  expect(fake.calls.filter((call) => call === 'start')).toHaveLength(1);
  expect(log.of('container.start')).toHaveLength(2);
});

test('an engine that does not answer is given up, and a late container is removed', async () => {
  const { engine, fake, permit } = openFakeSandboxes({}, { deadlineMs: 50 });
  const late = Promise.withResolvers<void>();
  fake.onCall = (verb) => (verb === 'create' ? late.promise : undefined);
  await expect(engine.create(permit(), context)).rejects.toMatchObject({
    code: 'engine.unavailable',
  });
  late.resolve();
  await expect.poll(() => fake.calls).toEqual(['create', 'remove', 'remove']);
  await expect.poll(() => fake.left).toEqual([]);
});

test('a name that is taken belongs to somebody else and is left alone', async () => {
  const { engine, fake, permit } = openFakeSandboxes();
  await engine.create(permit(), context);
  await expect(engine.create(permit(), context)).rejects.toMatchObject({ code: 'engine.conflict' });
  expect(fake.left).toHaveLength(1);
});

test.each(['facts', 'findImage', 'list', 'attach'] as const)(
  'a %s that never answers ends at the deadline',
  async (verb) => {
    const { engine, fake } = openFakeSandboxes({}, { deadlineMs: 50 });
    fake.failNext(verb, 'hang');
    const calls = {
      facts: () => engine.facts(),
      findImage: () => engine.findImage('a'),
      list: () => engine.list(testLabels),
      attach: () => engine.attach('a'),
    };
    await expect(calls[verb]()).rejects.toBeInstanceOf(OrchestraError);
  },
);

test('what is copied into a volume is on record before and after, with how much it was', async () => {
  const { engine, fake, log, permit } = openFakeSandboxes();
  const layer = { lower: ['/state/layers/a'], upper: '/state/layers/u', work: '/state/layers/w' };
  const volume = { kind: 'volume', ...layer, target: '/workspace' } as const;
  const task = permit({ mounts: [...testSpec().mounts, volume] });
  const { id } = await engine.create(task, context);
  const at: string[] = [];
  fake.onCall = () => void at.push(log.story.at(-1) ?? '');
  const fill = async (bytes: number) =>
    engine.fill(id, task, { target: '/workspace', tar: one(Buffer.alloc(bytes)) }, context);
  fake.failNext('fill');
  await expect(fill(1024)).rejects.toMatchObject({ code: 'engine.failed' });
  await fill(1024);
  expect(at).toEqual(['container.fill intent', 'container.fill intent']);
  expect(
    log.of('container.fill').map(({ stage, outcome, data }) => [stage, outcome, data]),
  ).toEqual([
    ['intent', undefined, { attempt: 1, target: '/workspace' }],
    ['result', 'failed', expect.objectContaining({ target: '/workspace' })],
    ['intent', undefined, { attempt: 1, target: '/workspace' }],
    ['result', undefined, { attempt: 1, target: '/workspace', bytes: 1024 }],
  ]);
  const copy = { ...task };
  await expect(
    engine.fill(id, copy, { target: '/workspace', tar: one(Buffer.alloc(1024)) }, context),
  ).rejects.toMatchObject({ code: 'internal.bug' });
});

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}
