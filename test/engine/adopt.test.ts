import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { adoptSandbox } from '#daemon/sandbox/adopt.ts';
import { withoutSlots } from '#daemon/sandbox/ready-slots.ts';
import { sweepStrays } from '#daemon/sandbox/sweep.ts';
import { enginePaths } from '#setup/paths.ts';
import { left, type Doom, type Released } from '#test/support/doomed-daemon.ts';
import { keepOutput } from '#test/support/fake-sandbox.ts';
import { newPlace, openRealEngine, type Place } from '#test/support/real-engine.ts';

const context = { run: 'r-0000000000', task: 'build', attempt: 1 };
const program = path.join(import.meta.dirname, '../support/doomed-daemon.ts');
const isShared = readFileSync('/proc/self/mountinfo', 'utf8').includes(
  ` ${enginePaths(process.env).slotsDir} `,
);

describe.skipIf(!isShared)('a sandbox whose daemon was killed (root, the private engine)', () => {
  let close = async () => {};
  afterEach(async () => close());

  /** Kills a daemon as told, and opens the next one of the same place. */
  async function afterDeath(doom: Omit<Doom, 'place'>) {
    const place: Place = newPlace();
    const daemon = spawn(process.execPath, [program, JSON.stringify({ place, ...doom })], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const [, signal] = (await once(daemon, 'exit')) as [number | null, string | null];
    expect(signal).toBe('SIGKILL');
    const files = left(place.dir);
    const { spec, id, released } = JSON.parse(readFileSync(files.released, 'utf8')) as Released;
    const real = await openRealEngine(undefined, undefined, true, place);
    close = async () => real.close();
    const text = () => (existsSync(files.output) ? readFileSync(files.output, 'utf8') : '');
    const adopt = async () => real.engine.adopt(id, real.office.mint(spec), context);
    const status = async () => (await real.left()).find((one) => one.id === id)?.status;
    const mounts = () =>
      readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(`${real.doors?.root}/`));
    /** Everything that nobody adopted goes away. */
    const tidy = async (inUse: readonly string[] = []) => {
      const { engine, log, install, clock } = real;
      const parts = { engine, log: Object.assign(log, { runState: () => undefined }), clock };
      await sweepStrays({ ...parts, install, inUse: new Set(inUse) });
      await real.doors?.clear();
    };
    return { real, id, spec, released, text, adopt, status, tidy, mounts };
  }

  async function toEnd(
    { real: { engine }, id }: Awaited<ReturnType<typeof afterDeath>>,
    adopted: Awaited<ReturnType<typeof engine.adopt>>,
  ) {
    const said: Record<1 | 2, Buffer[]> = { 1: [], 2: [] };
    const [exit] = await Promise.all([
      engine.wait(id),
      (async () => {
        for await (const { s, bytes } of adopted?.attached.output ?? [])
          said[s].push(Buffer.from(bytes));
      })(),
    ]);
    adopted?.attached.close();
    await engine.remove(id, context);
    return { ...exit, stdout: Buffer.concat(said[1]), stderr: Buffer.concat(said[2]) };
  }

  const numbers = (text: string) => text.trimEnd().split('\n').map(Number);

  test('runs on, and every line comes once and in order, with the way it ended', async () => {
    const script =
      'n=0; while [ $n -lt 150 ]; do n=$((n+1)); echo $n; sleep 0.02; done; cat given; echo made >new; exit 9';
    const it = await afterDeath({ script, at: 60 });
    await sleep(400);
    expect(await it.status()).toBe('running');
    const adopted = await it.adopt();
    expect(adopted).toMatchObject({ found: 'running', isOutputCut: false });
    await it.tidy([adopted?.effective.name ?? '']);
    expect(await it.status()).toBe('running');
    expect(it.mounts()).toHaveLength(1);
    if (adopted === undefined) throw new Error('it is gone');
    const { engine, log, clock, office } = it.real;
    const output = keepOutput();
    const result = await adoptSandbox(
      { engine, slots: withoutSlots(engine), log, clock },
      {
        permit: office.mint(it.spec),
        context,
        adopted,
        released: it.released,
        output,
        signal: new AbortController().signal,
      },
    );
    expect(result).toMatchObject({ outcome: 'exited', exitCode: 9, oomKilled: false });
    // From its release on, under both daemons.
    expect(result.durationMs).toBeGreaterThan(150 * 20);
    expect(log.of('container.exited')[0]?.data.by).toBe('kernel');
    const all = it.text() + output.text(1);
    expect(all).toMatch(/from below$/);
    expect(numbers(all.replace('from below', ''))).toEqual(
      Array.from({ length: 150 }, (_, at) => at + 1),
    );
    expect(it.real.log.of('container.adopted')[0]).toMatchObject({
      run: context.run,
      data: { attempt: 1, found: 'running', slot: true },
    });
    await it.real.doors?.settled();
    expect(it.mounts()).toEqual([]);
    expect(readFileSync(path.join(it.real.layers, 'up/new'), 'utf8')).toBe('made\n');
  }, 30_000);

  test('waits with what nobody reads, however much, and says all of it to the next', async () => {
    const it = await afterDeath({ script: 'seq 1 100000; echo over >&2', at: 'released' });
    await sleep(500);
    expect(await it.status()).toBe('running');
    const { exitCode, stdout, stderr } = await toEnd(it, await it.adopt());
    expect(exitCode).toBe(0);
    expect(numbers(stdout.toString())).toEqual(Array.from({ length: 100_000 }, (_, at) => at + 1));
    expect(stderr.toString()).toBe('over\n');
  }, 30_000);

  test('that ended meanwhile is found with the way it ended, and without its last words', async () => {
    const it = await afterDeath({ script: 'echo lost; exit 7', at: 'released' });
    await expect.poll(async () => it.status(), { timeout: 10_000 }).toBe('exited');
    const adopted = await it.adopt();
    expect(adopted).toMatchObject({ found: 'exited', isOutputCut: true });
    expect((await toEnd(it, adopted)).exitCode).toBe(7);
    await it.real.doors?.settled();
    expect(it.mounts()).toEqual([]);
  }, 30_000);

  test('before the task was in it ends by itself, and not like a task that succeeded', async () => {
    const it = await afterDeath({ script: 'true', at: 'intent' });
    await expect.poll(async () => it.status(), { timeout: 10_000 }).toBe('exited');
    const adopted = await it.adopt();
    expect((await toEnd(it, adopted)).exitCode).toBe(125);
  }, 30_000);

  test('is ended like any other by the next daemon, frozen or not', async () => {
    const it = await afterDeath({ script: 'echo on; exec sleep 60', at: 1 });
    const adopted = await it.adopt();
    const { engine } = it.real;
    await engine.freeze(it.id, context);
    await engine.signal(it.id, 'SIGTERM', context);
    expect((await toEnd(it, adopted)).exitCode).toBe(143);
  }, 30_000);

  test('whose layer is not the one its permit names is removed', async () => {
    const it = await afterDeath({ script: 'exec sleep 60', at: 'released' });
    const mounts = it.spec.mounts.map((mount) =>
      mount.kind === 'overlay' ? { ...mount, lower: [mount.upper] } : mount,
    );
    const other = it.real.office.mint({ ...it.spec, mounts });
    await expect(it.real.engine.adopt(it.id, other, context)).rejects.toMatchObject({
      code: 'sandbox.mismatch',
    });
    expect(await it.status()).toBeUndefined();
    expect(it.real.log.of('container.settings.mismatch')).toHaveLength(1);
    await it.tidy();
    expect(it.mounts()).toEqual([]);
  }, 30_000);

  test('that nobody adopts goes away, with its doors and its layers', async () => {
    const it = await afterDeath({ script: 'exec sleep 60', at: 'released' });
    expect(it.mounts()).toHaveLength(1);
    await it.tidy();
    expect(await it.real.left()).toEqual([]);
    expect(it.mounts()).toEqual([]);
    expect(readdirSync(it.real.doors?.root ?? '')).toEqual([]);
  }, 30_000);
});
