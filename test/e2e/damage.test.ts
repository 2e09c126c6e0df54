import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { blobPath } from '#daemon/artifacts/blob-path.ts';
import { containersOf, removeContainer } from '#test/support/containers.ts';
import { knownPlan } from '#test/support/known-plan.ts';
import { KnownRun } from '#test/support/known-run.ts';

let world: KnownRun | undefined;
afterEach(async () => world?.[Symbol.asyncDispose]());

/** Read from the log's own file: its daemon is dead. */
function digestIn(stateDir: string, type: string, field: string): `sha256:${string}` {
  const segments = join(stateDir, 'audit', 'segments');
  const lines = readdirSync(segments).flatMap((name) =>
    readFileSync(join(segments, name), 'utf8').split('\n'),
  );
  const line = lines.findLast((each) => each.includes(`"type":"${type}"`)) ?? '{}';
  const { data } = JSON.parse(line) as { data: Record<string, `sha256:${string}`> };
  return data[field] ?? 'sha256:';
}

/** A run whose daemon was killed after its first task, before the two that need it. */
async function halfDone(): Promise<{ world: KnownRun; id: string }> {
  world = await KnownRun.open('after-task-finished:1');
  const id = await world.submit(await world.snapshot());
  expect(await world.daemon.ended()).toBe('SIGKILL');
  return { world, id };
}

test('a sandbox that somebody removes by hand costs an attempt and nothing else', async () => {
  world = await KnownRun.open('', knownPlan({ diamonds: 1, variant: 0, slow: true }));
  const { client, daemon } = world;
  const id = await world.submit(await world.snapshot());
  // The one task that takes its time, once it says something.
  const slow = async () => {
    const view = await client.call('runShow', { params: { id } });
    return view.tasks.find((task) => task.id === 'c0')?.state;
  };
  await expect.poll(slow, { interval: 20 }).toBe('succeeded');
  const containers = await containersOf(id, daemon.stateDir);
  const running = containers.filter(({ State }) => State === 'running');
  expect(running).not.toEqual([]);
  for (const { Id } of running) await removeContainer(Id);
  expect((await world.end(id)).reason ?? '').toBe('');
  const told = await world.assertWhole(id);
  expect(told.attempts).toBeGreaterThan(5);
  expect(await world.whatIsLeft()).toEqual([]);
});

test('a run goes on over the loss of the index, which is made anew', async () => {
  const { world, id } = await halfDone();
  for (const suffix of ['', '-wal', '-shm']) {
    rmSync(join(world.daemon.stateDir, 'audit', `index.sqlite${suffix}`), { force: true });
  }
  await world.daemon.restart();
  await world.end(id);
  await world.assertWhole(id);
  expect(await world.whatIsLeft()).toEqual([]);
});

test('a layer that was changed meanwhile ends the run, and its resume makes it again', async () => {
  const { world, id } = await halfDone();
  const layer = world.known.layers.get('a0') ?? '';
  const dir = join(world.daemon.stateDir, 'layers', layer.slice('sha256:'.length));
  writeFileSync(join(dir, 'u', 'a0.txt'), 'something else\n');
  await world.daemon.restart();
  expect((await world.end(id)).state).toBe('refused');
  const next = await world.resume(id);
  await world.end(next);
  expect((await world.assertWhole(next)).attempts).toBe(5);
  // The damaged one was put aside, and goes with the next start.
  await world.daemon.stop();
  await world.daemon.restart();
  expect(await world.whatIsLeft()).toEqual([]);
});

test.each(['gone', 'damaged'])(
  'what a task left that is %s is made again by a resume',
  async (how) => {
    const { world, id } = await halfDone();
    const sha256 = world.known.artifacts.get('a0') ?? '';
    const path = blobPath(join(world.daemon.stateDir, 'blobs'), `sha256:${sha256}`);
    rmSync(path);
    if (how === 'damaged') writeFileSync(path, 'a0 1\n');
    await world.daemon.restart();
    await world.cancel(id);
    const next = await world.resume(id);
    await world.end(next);
    await world.assertWhole(next);
    expect(await world.whatIsLeft()).toEqual([]);
  },
);

test('a run whose plan is gone is closed with the reason, and the daemon goes on', async () => {
  const { world, id } = await halfDone();
  const { stateDir } = world.daemon;
  const plan = digestIn(stateDir, 'run.accepted', 'plan');
  rmSync(blobPath(join(stateDir, 'blobs'), plan));
  await world.daemon.restart();
  const view = await world.end(id);
  expect(view.state).not.toBe('succeeded');
  expect(view.reason).toContain('blob.unknown');
  const next = await world.submit(await world.snapshot());
  await world.end(next);
  await world.assertWhole(next);
  expect(await world.whatIsLeft()).toEqual([]);
});
