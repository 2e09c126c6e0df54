import { expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import type { Doors } from '#daemon/engine/doors.ts';
import { ReadySlots, type AskSlot } from '#daemon/sandbox/ready-slots.ts';
import { openFakeSandboxes } from '#test/support/fake-sandbox.ts';
import { testSpec } from '#test/support/sandbox-spec.ts';

const context = { run: 'r-0000000000', task: 'build', attempt: 1 };
const never = new AbortController().signal;

/** Doors that lead nowhere: the fake engine has no mounts. */
const doors: Doors = {
  root: '/state/layers',
  make: (targets) =>
    targets.map((target, at) => ({ kind: 'door', source: `/state/layers/1/${at}`, target })),
  adopt: () => false,
  openPipes: () => undefined,
  assertConnected: () => Promise.resolve(),
  open: () => Promise.resolve(),
  assertShown: () => Promise.resolve(),
  clear: () => Promise.resolve(),
  close: () => {},
  settled: () => Promise.resolve(),
  dispose: () => Promise.resolve(),
};

function open(options: Partial<ConstructorParameters<typeof ReadySlots>[0]> = {}) {
  const it = openFakeSandboxes({ hang: true }, { doors });
  const slots = new ReadySlots({
    engine: it.engine,
    doors,
    readyMax: 2,
    keep: 1,
    idleMs: 60_000,
    makingMax: 2,
    ...options,
  });
  const ask: AskSlot = ({ slot, doors: made }) =>
    Promise.resolve(
      it.office.mint({
        ...testSpec(),
        role: 'slot',
        name: `slot-${slot}`,
        command: [],
        env: {},
        cwd: '/',
        mounts: [...made, ...testSpec().mounts],
      }),
    );
  return { ...it, slots, ask, take: async () => slots.open(it.permit(), ask, context, never) };
}

test('where layers cannot arrive, each sandbox is made for its task, and the reason is told', async () => {
  const { slots, take, fake } = open({ doors: undefined });
  expect(await take()).toMatchObject({ isSlot: false });
  expect(fake.left).toEqual([testSpec().name]);
  expect((await slots.show()).reason).toContain('cannot reach');
  await slots.close();
});

test('an engine that refuses the first slot gets the task with everything in it instead', async () => {
  const { slots, take, fake } = open();
  fake.failNext('start');
  expect(await take()).toMatchObject({ isSlot: false });
  expect((await slots.show()).reason).toContain('told to fail');
  await slots.close();
});

test('one failure among slots that came through switches nothing off', async () => {
  const { slots, take, fake } = open();
  expect(await take()).toMatchObject({ isSlot: true });
  fake.failNext('start');
  expect(await take()).toMatchObject({ isSlot: false });
  expect((await slots.show()).reason).toBeUndefined();
  await slots.close();
});

test('none is made ahead where that is switched off', async () => {
  const { slots, take } = open({ readyMax: 0 });
  expect(await take()).toMatchObject({ isSlot: false });
  expect((await slots.show()).reason).toBe('switched off');
  await slots.close();
});

test('what policy denies is not made in another way', async () => {
  const { slots, permit } = open();
  const denied = new OrchestraError('policy.denied', 'no');
  const ask: AskSlot = () => Promise.reject(denied);
  await expect(slots.open(permit(), ask, context, never)).rejects.toBe(denied);
  expect((await slots.show()).reason).toBeUndefined();
  await slots.close();
});

test('never more stand ready than may, whatever is expected', async () => {
  const { slots, ask, fake } = open();
  slots.expect(testSpec(), ask, 50);
  await expect.poll(async () => (await slots.show()).ready).toBe(2);
  expect(fake.left).toHaveLength(2);
  await slots.close();
  expect(fake.left).toEqual([]);
});

test('a shape that is wanted takes the place of one that waited longest', async () => {
  const { slots, ask, office } = open();
  slots.expect(testSpec(), ask, 2);
  await expect.poll(async () => (await slots.show()).ready).toBe(2);
  const limits = { ...testSpec().limits, pids: 99 };
  const other: AskSlot = async (identity) => {
    const { spec } = await ask(identity);
    return office.mint({ ...spec, limits });
  };
  slots.expect(testSpec({ limits }), other, 2);
  await expect.poll(async () => (await slots.show()).ready).toBe(2);
  const taken = await slots.open(office.mint(testSpec({ limits })), other, context, never);
  expect(taken).toMatchObject({ isSlot: true });
  await slots.close();
});

test('a slot of another shape is never given to a task', async () => {
  const { slots, ask, engine, office } = open();
  slots.expect(testSpec(), ask, 1);
  await expect.poll(async () => (await slots.show()).ready).toBeGreaterThan(0);
  // Whatever the pool does, the guard compares again at the release.
  const wider = office.mint(testSpec({ limits: { ...testSpec().limits, memoryBytes: 2 ** 31 } }));
  const taken = await slots.open(wider, ask, context, never);
  await expect(engine.release(taken?.id ?? '', wider, context)).rejects.toMatchObject({
    code: 'sandbox.mismatch',
  });
  await slots.close();
});

test('a shape that nobody wants for a while is given back', async () => {
  const { slots, ask, fake } = open({ idleMs: 1 });
  slots.expect(testSpec(), ask, 1);
  await expect.poll(async () => (await slots.show()).ready).toBe(1);
  await expect.poll(() => fake.left).toEqual([]);
  await slots.close();
});

test('a task that gives up waiting gets none, and what was made for it stands ready', async () => {
  const { slots, ask, permit, fake } = open();
  const making = Promise.withResolvers<void>();
  fake.onCall = async (verb) => {
    if (verb === 'start') await making.promise;
  };
  const controller = new AbortController();
  const waiting = slots.open(permit(), ask, context, controller.signal);
  controller.abort();
  expect(await waiting).toBeUndefined();
  making.resolve();
  await slots.close();
  expect(fake.left).toEqual([]);
});
