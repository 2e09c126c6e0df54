import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Engine } from '#daemon/engine/engine.ts';
import type { Permit } from '#daemon/policy/permit.ts';
import type { SandboxSpec, VolumeMount } from '#daemon/policy/spec.ts';
import { headerOf } from '#daemon/workspace/copies/tar-header.ts';
import { FakeVolume } from '../support/fake-volume.ts';
import type { Script } from '../support/fake-engine.ts';

export type EngineUnderTest = {
  engine: Engine;
  /** A permit for a sandbox of its own, with a name of its own. */
  permit(change?: Partial<SandboxSpec>): Permit;
  /** Of a daemon that starts after the first was killed; permits are minted anew. */
  restart(): { engine: Engine; permit(spec: SandboxSpec): Permit };
  install: string;
  /** Of layers for `target`; left out where the engine has to see our disk. */
  volume?(target: string): VolumeMount;
  /** Plays commands and cannot run any. */
  isFake?: boolean;
  close(): Promise<void>;
};

/** The commands of the suite, and what a fake has to play for each. */
export const suiteScripts: Readonly<Record<string, Script>> = {
  'exit 0': {},
  'exit 7': { exitCode: 7 },
  'printf out; printf err >&2': {
    output: [
      [1, 'out'],
      [2, 'err'],
    ],
  },
  'head -c 300000 /dev/zero': { output: [[1, new Uint8Array(300_000)]] },
  'cat; echo end': { output: [[1, 'end\n']] },
  'sleep 60': { hang: true },
  'test "$(cat in/given)" = hello && test -O . && echo made > made && rm in/given': {
    inVolume: (volume) => {
      volume.write('made', 'made\n');
      volume.entries.delete('in/given');
    },
  },
  'sleep 0.3; exit 5': { delayMs: 300, exitCode: 5 },
  'echo ready; exec sleep 60': { hang: true },
  'trap "" TERM; echo ready; while :; do sleep 1; done': {
    hang: true,
    survives: 'SIGTERM',
    output: [[1, 'ready\n']],
  },
};

const context = { run: 'r-0000000000', task: 'build', attempt: 1 };

/** What every engine has to do alike, whichever driver is behind it. */
export function engineSuite(name: string, open: () => Promise<EngineUnderTest>): void {
  describe(`the engine contract, ${name}`, () => {
    let under: EngineUnderTest;
    beforeAll(async () => {
      under = await open();
    });
    afterAll(async () => {
      // Unset when opening failed: then that is the error to show.
      await (under as EngineUnderTest | undefined)?.close();
    });

    const sh = (script: keyof typeof suiteScripts, change: Partial<SandboxSpec> = {}) =>
      under.permit({ command: ['sh', '-c', script], ...change });
    const create = async (script: string) => (await under.engine.create(sh(script), context)).id;
    const left = () => under.engine.list({ 'orchestra.install': under.install });

    async function go(script: string) {
      const permit = sh(script);
      const { id } = await under.engine.create(permit, context);
      const attached = await under.engine.attach(id);
      await under.engine.start(id, context);
      await attached.ready;
      await under.engine.release(id, permit, context);
      return { id, attached, permit };
    }

    async function run(script: string) {
      const { id, attached } = await go(script);
      const out: Record<1 | 2, Buffer[]> = { 1: [], 2: [] };
      for await (const { s, bytes } of attached.output) out[s].push(Buffer.from(bytes));
      const exit = await under.engine.wait(id);
      attached.close();
      await under.engine.remove(id, context);
      return { ...exit, stdout: Buffer.concat(out[1]), stderr: Buffer.concat(out[2]) };
    }

    test('an exit code comes out as it is', async () => {
      expect((await run('exit 0')).exitCode).toBe(0);
      expect((await run('exit 7')).exitCode).toBe(7);
    });

    test('attached before the start, no byte is lost and the streams stay apart', async () => {
      const { stdout, stderr } = await run('printf out; printf err >&2');
      expect(stdout.toString()).toBe('out');
      expect(stderr.toString()).toBe('err');
      expect((await run('head -c 300000 /dev/zero')).stdout.equals(Buffer.alloc(300_000))).toBe(
        true,
      );
    });

    test('standard input is empty', async () => {
      expect((await run('cat; echo end')).stdout.toString()).toBe('end\n');
    });

    test('a created container is listed by its labels, and does not run', async () => {
      const id = await create('exit 0');
      expect(await left()).toMatchObject([{ id, status: 'created' }]);
      expect(await under.engine.list({ 'orchestra.install': 'nobody' })).toEqual([]);
      await under.engine.remove(id, context);
      expect(await left()).toEqual([]);
    });

    test('a second container of the same name is refused, and the first one stays', async () => {
      const permit = sh('exit 0');
      const { id } = await under.engine.create(permit, context);
      await expect(under.engine.create(permit, context)).rejects.toMatchObject({
        code: 'engine.conflict',
      });
      expect(await left()).toHaveLength(1);
      await under.engine.remove(id, context);
    });

    test('SIGTERM ends a program that has no handler for it', async () => {
      const { id } = await go('echo ready; exec sleep 60');
      await under.engine.signal(id, 'SIGTERM', context);
      expect((await under.engine.wait(id)).exitCode).toBe(143);
      await under.engine.remove(id, context);
    });

    test('SIGKILL ends a program that ignores SIGTERM', async () => {
      const { id, attached } = await go('trap "" TERM; echo ready; while :; do sleep 1; done');
      const output = attached.output[Symbol.asyncIterator]();
      await output.next();
      await under.engine.signal(id, 'SIGTERM', context);
      await under.engine.signal(id, 'SIGKILL', context);
      expect((await under.engine.wait(id)).exitCode).toBe(137);
      attached.close();
      await under.engine.remove(id, context);
    });

    test('signals and removals may come late and often', async () => {
      const { id } = await go('exit 0');
      await under.engine.wait(id);
      await under.engine.wait(id);
      await under.engine.signal(id, 'SIGKILL', context);
      await Promise.all([under.engine.remove(id, context), under.engine.remove(id, context)]);
      await under.engine.remove(id, context);
      await under.engine.signal(id, 'SIGTERM', context);
      expect(await left()).toEqual([]);
    });

    test('a running container is removed by its name too', async () => {
      const { id, permit } = await go('sleep 60');
      await under.engine.remove(permit.spec.name, context);
      expect(await left()).toEqual([]);
      expect(await under.engine.usage(id)).toBeUndefined();
    });

    test('what is not there is an error, not a hang', async () => {
      const nobody = 'f'.repeat(64);
      await expect(under.engine.start(nobody, context)).rejects.toMatchObject({
        code: 'engine.failed',
      });
      await expect(under.engine.wait(nobody)).rejects.toMatchObject({ code: 'engine.failed' });
      await expect(under.engine.attach(nobody)).rejects.toMatchObject({ code: 'engine.failed' });
      expect(await under.engine.findImage('orchestra/nothing:here')).toBeUndefined();
    });

    test('a container that was started does not start again', async () => {
      const { id } = await go('exit 0');
      await under.engine.wait(id);
      await expect(under.engine.start(id, context)).rejects.toMatchObject({
        code: 'engine.failed',
      });
      await under.engine.remove(id, context);
    });

    test('a started sandbox runs nothing of its task before it is released', async () => {
      const permit = sh('printf out; printf err >&2');
      const { id } = await under.engine.create(permit, context);
      const attached = await under.engine.attach(id);
      await under.engine.start(id, context);
      await attached.ready;
      expect(await left()).toMatchObject([{ id, status: 'running' }]);
      await under.engine.remove(id, context);
      const said = await Array.fromAsync(attached.output).catch(() => []);
      expect(said).toEqual([]);
    });

    test('a sandbox is released once, and to the task it was allowed for', async () => {
      const permit = sh('sleep 60');
      const { id } = await under.engine.create(permit, context);
      const attached = await under.engine.attach(id);
      const release = async (to: Permit) => under.engine.release(id, to, context);
      await expect(release(permit)).rejects.toMatchObject({ code: 'engine.failed' });
      await under.engine.start(id, context);
      await attached.ready;
      await release(permit);
      await expect(release(permit)).rejects.toMatchObject({ code: 'engine.failed' });
      await under.engine.remove(id, context);
      const { id: other } = await under.engine.create(sh('exit 0'), context);
      const attachedToOther = await under.engine.attach(other);
      await under.engine.start(other, context);
      await attachedToOther.ready;
      await expect(under.engine.release(other, sh('exit 7'), context)).rejects.toMatchObject({
        code: 'sandbox.mismatch',
      });
      await under.engine.remove(other, context);
    });

    test('arguments, variables and directory arrive byte for byte', async () => {
      const words = ["it's", '$(id)', '`id`', 'a\nb', '"', '\\', '-n', 'é✓', '', ' ', '*', 'A=B'];
      const script = 'for w; do printf "<%s>" "$w"; done; printf "|%s|%s" "$ODD" "$PWD"';
      const permit = under.permit({
        command: ['sh', '-c', script, 'sh', ...words],
        cwd: '/tmp',
        env: { PATH: '/usr/local/bin:/usr/bin:/bin', ODD: "x'y\n$z" },
      });
      const { id } = await under.engine.create(permit, context);
      const attached = await under.engine.attach(id);
      await under.engine.start(id, context);
      await attached.ready;
      await under.engine.release(id, permit, context);
      const parts: Buffer[] = [];
      for await (const { bytes } of attached.output) parts.push(Buffer.from(bytes));
      await under.engine.wait(id);
      await under.engine.remove(id, context);
      const said = Buffer.concat(parts).toString();
      if (under.isFake !== true) {
        expect(said).toBe(`${words.map((word) => `<${word}>`).join('')}|x'y\n$z|/tmp`);
      }
    });

    test('waiting can be given up without ending the container', async () => {
      const { id } = await go('sleep 60');
      await expect(under.engine.wait(id, AbortSignal.timeout(50))).rejects.toThrow();
      expect(await left()).toMatchObject([{ id, status: 'running' }]);
      await under.engine.remove(id, context);
    });

    const forAWhile = () => AbortSignal.timeout(800);

    test('a frozen sandbox stands still until it is thawed, and is listed so', async () => {
      const { id } = await go('sleep 0.3; exit 5');
      await under.engine.freeze(id, context);
      await under.engine.freeze(id, context);
      expect(await left()).toMatchObject([{ id, status: 'paused' }]);
      await expect(under.engine.wait(id, forAWhile())).rejects.toThrow();
      await under.engine.thaw(id, context);
      expect((await under.engine.wait(id)).exitCode).toBe(5);
      await under.engine.remove(id, context);
    });

    test.each([
      ['SIGTERM', 143],
      ['SIGKILL', 137],
    ] as const)('a frozen sandbox ends by %s', async (signal, exitCode) => {
      const { id } = await go('echo ready; exec sleep 60');
      await under.engine.freeze(id, context);
      await under.engine.signal(id, signal, context);
      expect((await under.engine.wait(id)).exitCode).toBe(exitCode);
      await under.engine.remove(id, context);
    });

    test('a frozen sandbox is removed, and thawing may come late and often', async () => {
      const { id } = await go('sleep 60');
      await under.engine.thaw(id, context);
      await under.engine.freeze(id, context);
      await under.engine.remove(id, context);
      expect(await left()).toEqual([]);
      await under.engine.thaw(id, context);
    });

    test('only a sandbox with its task in it is frozen', async () => {
      const id = await create('exit 0');
      await expect(under.engine.freeze(id, context)).rejects.toMatchObject({
        code: 'engine.failed',
      });
      await under.engine.remove(id, context);
    });

    test('a daemon that starts adopts what runs: it ends it, and learns how it ended', async () => {
      const { id, permit, attached } = await go('echo ready; exec sleep 60');
      attached.close();
      const next = under.restart();
      const adopted = await next.engine.adopt(id, next.permit(permit.spec), context);
      expect(adopted).toMatchObject({ id, found: 'running', isOutputCut: true });
      await expect(next.engine.adopt(id, next.permit(permit.spec), context)).rejects.toMatchObject({
        code: 'engine.failed',
      });
      const said = Array.fromAsync(adopted?.attached.output ?? []);
      await next.engine.signal(id, 'SIGTERM', context);
      expect((await next.engine.wait(id)).exitCode).toBe(143);
      await said;
      await next.engine.remove(id, context);
      expect(await left()).toEqual([]);
    });

    test('what is frozen is adopted so, and goes on', async () => {
      const { id, permit, attached } = await go('sleep 0.3; exit 5');
      attached.close();
      await under.engine.freeze(id, context);
      const next = under.restart();
      const adopted = await next.engine.adopt(id, next.permit(permit.spec), context);
      expect(adopted?.found).toBe('paused');
      const said = Array.fromAsync(adopted?.attached.output ?? []);
      await next.engine.thaw(id, context);
      expect((await next.engine.wait(id)).exitCode).toBe(5);
      await said;
      await next.engine.remove(id, context);
    });

    test('what has ended meanwhile is adopted with the way it ended', async () => {
      const { id, permit, attached } = await go('exit 7');
      attached.close();
      await expect.poll(async () => (await left())[0]?.status).toBe('exited');
      const next = under.restart();
      const adopted = await next.engine.adopt(id, next.permit(permit.spec), context);
      expect(adopted).toMatchObject({ found: 'exited', isOutputCut: true });
      expect(await Array.fromAsync(adopted?.attached.output ?? [])).toEqual([]);
      expect((await next.engine.wait(id)).exitCode).toBe(7);
      await next.engine.remove(id, context);
    });

    test('what is gone, or was never started, is not adopted', async () => {
      const permit = sh('exit 0');
      const { id } = await under.engine.create(permit, context);
      const next = under.restart();
      const adopt = async (which: string) =>
        next.engine.adopt(which, next.permit(permit.spec), context);
      expect(await adopt(id)).toBeUndefined();
      await under.engine.remove(id, context);
      expect(await adopt(id)).toBeUndefined();
      expect(await adopt('f'.repeat(64))).toBeUndefined();
    });

    describe('volumes', () => {
      const script =
        'test "$(cat in/given)" = hello && test -O . && echo made > made && rm in/given';
      const target = '/workspace';
      async function made() {
        const volume = under.volume?.(target);
        if (volume === undefined) return undefined;
        const { mounts } = under.permit().spec;
        const permit = sh(script, { cwd: target, mounts: [...mounts, volume] });
        return { permit, id: (await under.engine.create(permit, context)).id };
      }
      const fill = async (id: string, permit: Permit, tar: AsyncIterable<Uint8Array>) =>
        under.engine.fill(id, permit, { target, tar }, context);

      test('a task finds what its volume was filled with, and what it left is read back', async () => {
        const it = await made();
        if (it === undefined) return;
        const { id, permit } = it;
        await fill(
          id,
          permit,
          tarOf([
            ['in/', undefined],
            ['in/given', 'hello'],
          ]),
        );
        const attached = await under.engine.attach(id);
        await under.engine.start(id, context);
        await attached.ready;
        await under.engine.release(id, permit, context);
        await expect(under.engine.readBack(id, target)).rejects.toMatchObject({
          code: 'engine.failed',
        });
        expect((await under.engine.wait(id)).exitCode).toBe(0);
        const volume = await FakeVolume.of(await under.engine.readBack(id, target));
        const names = [...volume.entries.keys()].toSorted();
        expect(names).toEqual(['workspace', 'workspace/in', 'workspace/made']);
        await under.engine.remove(id, context);
        expect(await left()).toEqual([]);
      });

      test('a sandbox does not start on a volume that was not filled, or not to its end', async () => {
        const it = await made();
        if (it === undefined) return;
        const { id, permit } = it;
        await under.engine.attach(id);
        const start = async () => under.engine.start(id, context);
        await expect(start()).rejects.toMatchObject({ code: 'engine.failed' });
        const broken = (async function* () {
          yield* tarOf([['in/', undefined]]);
          throw new Error('cut off');
        })();
        await expect(fill(id, permit, broken)).rejects.toThrow();
        await expect(start()).rejects.toMatchObject({ code: 'engine.failed' });
        await under.engine.remove(id, context);
      });

      test('a volume is filled once, before the start, and read back of a task only', async () => {
        const it = await made();
        if (it === undefined) return;
        const { id, permit } = it;
        const refused = { code: 'engine.failed' };
        await expect(under.engine.readBack(id, target)).rejects.toMatchObject(refused);
        await fill(id, permit, tarOf([['in/', undefined]]));
        await expect(fill(id, permit, tarOf([]))).rejects.toMatchObject(refused);
        await expect(under.engine.readBack(id, '/tmp')).rejects.toMatchObject(refused);
        await under.engine.remove(id, context);
      });
    });

    test('what is not as its permit says is removed instead of adopted', async () => {
      const { id, permit } = await go('sleep 60');
      const next = under.restart();
      const { limits } = permit.spec;
      const other = { ...permit.spec, limits: { ...limits, memoryBytes: limits.memoryBytes / 2 } };
      await expect(next.engine.adopt(id, next.permit(other), context)).rejects.toMatchObject({
        code: 'sandbox.mismatch',
      });
      expect(await left()).toEqual([]);
    });
  });
}

/** Directories end with a slash. */
async function* tarOf(
  entries: readonly (readonly [string, string | undefined])[],
): AsyncGenerator<Uint8Array> {
  const owner = { uid: 1000, gid: 1000 };
  const about = { target: '', mode: 0o755, mtime: 0 };
  yield await Promise.resolve(headerOf({ ...about, kind: 'dir', name: '/', size: 0 }, owner));
  for (const [name, text = ''] of entries) {
    const kind = name.endsWith('/') ? 'dir' : 'file';
    yield headerOf({ ...about, kind, name, size: text.length }, owner);
    if (text !== '') yield Buffer.concat([Buffer.from(text), Buffer.alloc(512 - text.length)]);
  }
  yield Buffer.alloc(1024);
}
