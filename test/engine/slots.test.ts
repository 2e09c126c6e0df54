import { mkdirSync, readFileSync, writeFileSync, chmodSync, existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { enginePaths } from '#setup/paths.ts';
import { labelNames } from '#daemon/engine/labels.ts';
import {
  gateTarget,
  npmCacheTarget,
  workspaceTarget,
  type OverlayMount,
} from '#daemon/policy/spec.ts';
import { ReadySlots, type AskSlot } from '#daemon/sandbox/ready-slots.ts';
import { runInSandbox } from '#daemon/sandbox/sandbox.ts';
import { keepOutput } from '#test/support/fake-sandbox.ts';
import { openRealEngine } from '#test/support/real-engine.ts';
import { testSpec } from '#test/support/sandbox-spec.ts';

const context = { run: 'r-0000000000', task: 'build', attempt: 1 };
const never = new AbortController().signal;
const isShared = readFileSync('/proc/self/mountinfo', 'utf8').includes(
  ` ${enginePaths(process.env).slotsDir} `,
);

describe.skipIf(!isShared)('ready slots (need root and the private engine)', () => {
  let real: Awaited<ReturnType<typeof openRealEngine>>;
  let slots: ReadySlots;
  let layersMade = 0;

  beforeAll(async () => {
    real = await openRealEngine(undefined, undefined, true);
    const { engine, doors } = real;
    slots = new ReadySlots({
      engine,
      doors,
      readyMax: 2,
      keep: 1,
      idleMs: 60_000,
      makingMax: 2,
    });
  });
  afterAll(async () => {
    await slots.close();
    await real.close();
  });

  const ask: AskSlot = ({ slot, doors }) =>
    Promise.resolve(
      real.office.mint({
        ...real.spec(),
        role: 'slot',
        name: `orchestra-${real.install}-${slot}`,
        command: [],
        env: {},
        cwd: '/',
        mounts: [...doors, ...testSpec().mounts],
        labels: { [labelNames.install]: real.install, [labelNames.slot]: slot },
      }),
    );

  function layer(target = workspaceTarget): OverlayMount {
    const [low, upper, work] = ['low', 'up', 'work'].map((part) => {
      const dir = path.join(real.layers, `${layersMade}-${part}`);
      mkdirSync(dir);
      chmodSync(dir, 0o777);
      return dir;
    }) as [string, string, string];
    layersMade += 1;
    writeFileSync(path.join(low, 'given'), 'from below');
    return { kind: 'overlay', lower: [low], upper, work, target };
  }

  async function run(script: string, mounts: readonly OverlayMount[] = [layer()]) {
    const output = keepOutput();
    const permit = real.permit({
      command: ['sh', '-c', script],
      cwd: workspaceTarget,
      mounts: [...mounts, ...testSpec().mounts],
    });
    const { engine, log, clock } = real;
    const result = await runInSandbox(
      { engine, slots, log, clock },
      { permit, askSlot: ask, context, output, signal: never },
    );
    return { ...result, stdout: output.text(1), stderr: output.text(2) };
  }

  const mountsLeft = () =>
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(`${real.doors?.root}/`));

  test('a task in a slot sees its layers, and writes into its own alone', async () => {
    const workspace = layer();
    const cache = layer(npmCacheTarget);
    const { stdout, exitCode } = await run(
      `cat given; echo new >made; cat ${npmCacheTarget}/given; exit 4`,
      [workspace, cache],
    );
    expect(stdout).toBe('from belowfrom below');
    expect(exitCode).toBe(4);
    expect(readFileSync(path.join(workspace.upper, 'made'), 'utf8')).toBe('new\n');
    await slots.settled();
    expect(mountsLeft()).toEqual([]);
  });

  test('output comes straight from the task, byte for byte, both streams apart', async () => {
    const { stdout, stderr } = await run(
      'head -c 600000 /dev/zero | tr "\\0" x; printf err >&2; printf "\\n"; echo there >/proc/1/fd/1; sleep 0.2',
    );
    expect(stdout.length).toBe(600_001 + 'there\n'.length);
    expect(stderr).toBe('err');
  });

  test('a task cannot change the pipes of its output, and holds none open but for writing', async () => {
    const { stdout, stderr } = await run(
      'ls -l /run/gate; chmod 777 /run/gate/out; rm /run/gate/err; (: >/run/gate/new); ls /proc/self/fd; grep flags /proc/self/fdinfo/1; cat <&1 || echo over',
    );
    expect(stdout).toMatch(/prw----rw- .*out/);
    expect(stdout).toMatch(/^0\n1\n2\n3\nflags:\s+0\d*1$/m);
    expect(stdout).toMatch(/over\n$/);
    expect(stderr).toMatch(/chmod: .*Read-only file system/);
    expect(stderr).toContain('Bad file descriptor');
    expect(stderr).toMatch(/err.*Read-only file system/);
    expect(stderr).toMatch(/new: Read-only file system/);
  });

  test('the pipes of a task are out of reach of everybody else on the machine', () => {
    expect(statSync(real.doors?.root ?? '').mode & 0o777).toBe(0o700);
  });

  test('a task that closes its output early is waited for all the same', async () => {
    const { exitCode, durationMs } = await run('exec >&- 2>&-; sleep 0.5; exit 6');
    expect(exitCode).toBe(6);
    expect(durationMs).toBeGreaterThan(400);
  });

  test('a slot that stands ready is taken, used once and replaced', async () => {
    slots.expect(real.spec(), ask, 1);
    await expect.poll(async () => (await slots.show()).ready).toBe(1);
    const before = (await real.left()).map(({ id }) => id);
    const { stdout } = await run('hostname; cat /etc/hostname; ls -A /tmp');
    expect(stdout).toContain('sandbox');
    await slots.settled();
    await expect.poll(async () => (await slots.show()).ready).toBe(1);
    const after = (await real.left()).map(({ id }) => id);
    expect(after.filter((id) => before.includes(id))).toEqual([]);
  });

  test('a slot that waits holds no word of any task', async () => {
    slots.expect(real.spec(), ask, 1);
    await expect.poll(async () => (await slots.show()).ready).toBe(1);
    const [waiting] = await real.left();
    expect(waiting?.status).toBe('running');
    expect(
      Object.keys(waiting?.labels ?? {}).filter((name) => name.startsWith('orchestra.')),
    ).toEqual(expect.not.arrayContaining([labelNames.run, labelNames.task]));
  });

  test('a slot ends with its daemon, though nobody ever read what it says', async () => {
    const { engine, doors } = real;
    if (doors === undefined) throw new Error('no doors');
    // What a daemon leaves that was killed just as it started one.
    const made = doors.make([workspaceTarget, npmCacheTarget, gateTarget]);
    const { id } = await engine.create(await ask({ slot: 'left-alone', doors: made }), context);
    const attached = await engine.attach(id);
    attached.close();
    await engine.start(id, context).catch(() => {});
    const state = async () => (await real.left()).find((one) => one.id === id)?.status;
    await expect.poll(state, { timeout: 10_000 }).toBe('exited');
    await engine.remove(id, context);
  });

  test('a layer that is not there fails the task and leaves nothing behind', async () => {
    const workspace = layer();
    const broken = { ...workspace, lower: [`${workspace.lower[0]}-none`] };
    await expect(run('true', [broken])).rejects.toMatchObject({ code: 'engine.failed' });
    await slots.settled();
    expect(mountsLeft()).toEqual([]);
  });

  test('many tasks at once each get a sandbox of their own', async () => {
    const all = await Promise.all(
      Array.from({ length: 6 }, async (_, n) => run(`echo ${n}; hostname`)),
    );
    expect(all.map(({ stdout }) => stdout.split('\n')[0])).toEqual(['0', '1', '2', '3', '4', '5']);
    await slots.settled();
    expect(mountsLeft()).toEqual([]);
  });

  test('a sandbox that is put away late takes nothing from the one that came after it', async () => {
    const { engine } = real;
    for (let round = 0; round < 5; round += 1) {
      // Its doors are free once it is dead; its container goes away while the next one uses them.
      const [first, second] = await Promise.all([
        run('cat given'),
        run('sleep 0.2; cat given; sleep 0.2; cat given'),
      ]);
      expect(first.stdout).toBe('from below');
      expect(second.stdout).toBe('from belowfrom below');
    }
    expect((await engine.list({ [labelNames.install]: real.install })).length).toBeLessThan(12);
    await slots.settled();
    expect(mountsLeft()).toEqual([]);
  });

  test('a task that is cancelled while it waits for a slot never starts', async () => {
    const controller = new AbortController();
    const permit = real.permit({
      command: ['sh', '-c', 'true'],
      mounts: [layer(), ...testSpec().mounts],
    });
    controller.abort();
    const opened = await slots.open(permit, ask, context, controller.signal);
    if (opened) await slots.retire(opened, {});
    await slots.settled();
    expect(mountsLeft()).toEqual([]);
  });

  test('a slot that is closed is gone, with its doors', async () => {
    await slots.close();
    expect(await real.left()).toEqual([]);
    expect(mountsLeft()).toEqual([]);
    expect(existsSync(real.doors?.root ?? '')).toBe(true);
  });
});
