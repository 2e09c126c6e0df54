import { expect, test } from 'vitest';
import { sandboxLabels } from '#daemon/engine/labels.ts';
import { sweepStrays } from '#daemon/sandbox/sweep.ts';
import { openFakeSandboxes } from '#test/support/fake-sandbox.ts';

async function withContainers(...installs: string[]) {
  const { fake, log, engine, permit } = openFakeSandboxes();
  for (const [n, install] of installs.entries()) {
    const labels = sandboxLabels({ install, run: 'r-0000000000', task: 'build', attempt: 1 });
    await engine.create(permit({ name: `box-${n}`, labels }), {});
  }
  const runState = () => ({ records: 3, closed: false });
  const parts = {
    engine,
    log: Object.assign(log, { runState }),
    clock: { now: () => Date.now() },
    install: 'mine',
  };
  return { fake, log, parts };
}

test('strays of this installation are removed, those of another are not looked at', async () => {
  const { fake, log, parts } = await withContainers('mine', 'theirs', 'mine');
  expect(await sweepStrays(parts)).toEqual({ removed: 2, left: 0, failed: 0 });
  expect(fake.left).toEqual(['box-1']);
  expect(log.of('container.reconciled')).toHaveLength(2);
  expect(log.of('container.reconciled')[0]).toMatchObject({
    run: 'r-0000000000',
    data: { found: 'created', action: 'remove', attempt: 1 },
  });
});

test('a container in use and a young one are left alone', async () => {
  const { fake, parts } = await withContainers('mine', 'mine');
  const inUse = new Set(['box-0']);
  expect(await sweepStrays({ ...parts, inUse, graceMs: 60_000 })).toMatchObject({ left: 2 });
  expect(await sweepStrays({ ...parts, inUse })).toMatchObject({ removed: 1, left: 1 });
  expect(fake.left).toEqual(['box-0']);
});

test('one that cannot be removed does not stop the others', async () => {
  const { fake, parts } = await withContainers('mine', 'mine');
  fake.failNext('remove');
  expect(await sweepStrays(parts)).toEqual({ removed: 1, left: 0, failed: 1 });
});

test('nothing is added to the records of a closed run', async () => {
  const { log, parts } = await withContainers('mine');
  log.entries.length = 0;
  const runState = () => ({ records: 3, closed: true });
  await sweepStrays({ ...parts, log: Object.assign(log, { runState }) });
  expect(log.entries.map((entry) => entry.run)).toEqual([undefined, undefined, undefined]);
});
