import { expect, test } from 'vitest';
import type { ContainerExit } from '#daemon/engine/engine.ts';
import { openExits } from '#daemon/engine/exits.ts';
import { exitCodeOf, type Kernel } from '#daemon/engine/kernel.ts';
import { FakeEngine } from '#test/support/fake-engine.ts';
import { MemoryLog } from '#test/support/memory-log.ts';

const id = 'self';

/** This very process stands for the container's, so that its cgroup can be read. */
function play(engine: Promise<ContainerExit>) {
  const driver = new FakeEngine();
  driver.wait = () => engine;
  const log = new MemoryLog();
  let status: number | undefined;
  const kernel = {
    openProcess: () => ({ exitStatus: () => status, close: () => {} }),
  } as unknown as Kernel;
  const exits = openExits({ driver, log, kernel, belongsTo: () => Promise.resolve(true) });
  return { exits, log, die: (with_: number) => (status = with_) };
}

const said = (exitCode: number): ContainerExit => ({
  by: 'engine',
  exitCode,
  oomKilled: exitCode === 137,
  startedAt: '',
  finishedAt: '',
});

test('the kernel tells an exit before the engine does, and the engine confirms it on record', async () => {
  const engine = Promise.withResolvers<ContainerExit>();
  const { exits, log, die } = play(engine.promise);
  await exits.watch(id, process.pid);
  die(7 << 8);
  expect(await exits.wait(id)).toMatchObject({ by: 'kernel', exitCode: 7 });
  expect(log.of('container.confirmed')).toEqual([]);
  engine.resolve(said(7));
  await exits.settled(id);
  expect(log.of('container.confirmed')[0]?.data).toEqual({
    exit_code: 7,
    oom_killed: false,
    agrees: true,
  });
});

test('an engine that says otherwise afterwards is an alert', async () => {
  const { exits, log, die } = play(Promise.resolve(said(7)).finally(() => {}));
  const engine = Promise.withResolvers<ContainerExit>();
  const other = play(engine.promise);
  await other.exits.watch(id, process.pid);
  other.die(0);
  expect((await other.exits.wait(id)).exitCode).toBe(0);
  engine.resolve(said(3));
  await other.exits.settled(id);
  expect(other.log.of('container.confirmed')[0]).toMatchObject({
    sev: 'alert',
    data: { agrees: false, exit_code: 3 },
  });
  // The engine alone, where it is first.
  await exits.watch(id, process.pid);
  expect(await exits.wait(id)).toMatchObject({ by: 'engine', exitCode: 7 });
  expect(log.entries).toEqual([]);
  die(0);
});

test('a kill is told by the engine alone, which knows whether memory ran out', async () => {
  const engine = Promise.withResolvers<ContainerExit>();
  const { exits, die } = play(engine.promise);
  await exits.watch(id, process.pid);
  die(9);
  const exit = exits.wait(id);
  engine.resolve(said(137));
  expect(await exit).toMatchObject({ by: 'engine', oomKilled: true });
});

test.each([
  ['was killed with its engine', 9],
  ['still lives', undefined],
])('an engine that found dead what %s did not see how it ended', async (_, status) => {
  const { exits, die } = play(Promise.resolve(said(255)));
  await exits.watch(id, process.pid);
  if (status !== undefined) die(status);
  await expect(exits.wait(id)).rejects.toMatchObject({ code: 'engine.unavailable' });
});

test('of what its engine did not see the kernel tells how it ended', async () => {
  const { exits, die } = play(Promise.resolve(said(255)));
  await exits.watch(id, process.pid);
  die(3 << 8);
  expect(await exits.wait(id)).toMatchObject({ by: 'kernel', exitCode: 3 });
});

test('a task that ends with 255 has done so, if the kernel says it too', async () => {
  const { exits, die } = play(Promise.resolve(said(255)));
  await exits.watch(id, process.pid);
  die(255 << 8);
  expect((await exits.wait(id)).exitCode).toBe(255);
});

test('waiting can be given up while the process lives', async () => {
  const { exits } = play(new Promise(() => {}));
  await exits.watch(id, process.pid);
  await expect(exits.wait(id, AbortSignal.timeout(5))).rejects.toMatchObject({
    code: 'engine.unavailable',
  });
});

test('a process that is not of the container is not believed', async () => {
  const driver = new FakeEngine();
  driver.wait = () => Promise.resolve(said(3));
  const kernel = {
    openProcess: () => ({ exitStatus: () => 0, close: () => {} }),
  } as unknown as Kernel;
  const exits = openExits({ driver, log: new MemoryLog(), kernel });
  await exits.watch('f'.repeat(64), process.pid);
  expect(await exits.wait('f'.repeat(64))).toMatchObject({ by: 'engine', exitCode: 3 });
});

test('a wait status becomes the exit code that engines give', () => {
  expect(exitCodeOf(0)).toBe(0);
  expect(exitCodeOf(255 << 8)).toBe(255);
  expect(exitCodeOf(15)).toBe(143);
  expect(exitCodeOf(9 | 0x80)).toBe(137);
});
