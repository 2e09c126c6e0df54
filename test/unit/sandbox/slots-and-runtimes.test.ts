import { expect, test } from 'vitest';
import type { Doors } from '#daemon/engine/doors.ts';
import type { Permit } from '#daemon/policy/permit.ts';
import { ReadySlots } from '#daemon/sandbox/ready-slots.ts';
import { FakeEngine } from '#test/support/fake-engine.ts';
import { testSpec } from '#test/support/sandbox-spec.ts';

const context = { run: 'r-0000000000', task: 'build', attempt: 1 };

/** Slots on an engine where layers do reach what runs; `asked` counts who wanted one made ahead. */
async function openFor(runtime: string): Promise<{ isSlot: boolean; asked: number }> {
  const engine = new FakeEngine();
  const nothing = async () => {};
  const doors = { make: () => [], close: () => {}, assertConnected: nothing, settled: nothing };
  const slots = new ReadySlots({
    engine,
    doors: doors as unknown as Doors,
    readyMax: 2,
    keep: 1,
    idleMs: 60_000,
    makingMax: 1,
  });
  const spec = testSpec({ runtime });
  let asked = 0;
  const ask = async () => {
    asked += 1;
    return { spec: { ...spec, name: `slot-${asked}` } } as Permit;
  };
  slots.expect(spec, ask, 1);
  const opened = await slots.open({ spec } as Permit, ask, context, AbortSignal.timeout(30_000));
  if (opened === undefined) throw new Error('no sandbox was opened');
  const found = (await engine.list({})).find(({ id }) => id === opened.id);
  await slots.retire(opened, context);
  await slots.close();
  return { isSlot: found?.name.startsWith('slot-') === true, asked };
}

test('a runtime that no later mount reaches gets no sandbox made ahead, and tasks run all the same', async () => {
  expect(await openFor('runsc')).toEqual({ isSlot: false, asked: 0 });
  expect(await openFor('nobody-knows')).toEqual({ isSlot: false, asked: 0 });
});

test('runc and crun get them', async () => {
  for (const runtime of ['runc', 'crun']) {
    const { isSlot, asked } = await openFor(runtime);
    expect(isSlot).toBe(true);
    expect(asked).toBeGreaterThan(0);
  }
});
