import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { RunView } from '#contract/run.ts';
import { layersWay, openEngine } from '#daemon/engine/open.ts';
import { openPermitOffice } from '#daemon/policy/permit.ts';
import { workspaceTarget } from '#daemon/policy/spec.ts';
import { layersSuite, roomy } from '#test/conformance/layers.suite.ts';
import { TestDaemon } from '#test/support/daemon.ts';
import { farEngine, hiddenDir } from '#test/support/far-engine.ts';
import { MemoryLog } from '#test/support/memory-log.ts';
import { testImage } from '#test/support/real-engine.ts';
import { runtimeMissing } from '#test/support/runtimes.ts';
import { testLimits, testSpec } from '#test/support/sandbox-spec.ts';
import { shippedSeccomp } from '#test/support/seccomp.ts';

const missing = runtimeMissing('runc');
const context = { run: 'r-0000000000', task: 'build', attempt: 1 };

describe.skipIf(missing !== undefined)(
  `an engine that does not see our disk ${missing ?? ''}`,
  () => {
    let hidden: ReturnType<typeof hiddenDir>;
    let far: Awaited<ReturnType<typeof farEngine>>;

    beforeAll(async () => {
      hidden = hiddenDir();
      far = await farEngine(hidden.dir);
      // What a daemon of these tests has lies where the engine does not see it.
      vi.stubEnv('TMPDIR', hidden.dir);
    });
    afterAll(async () => {
      vi.unstubAllEnvs();
      await (far as typeof far | undefined)?.stop();
      hidden.remove();
    });

    test('it is found out, by what it really sees', async () => {
      expect(await layersWay(far.host, join(hidden.dir, 'probe'))).toBe('streams');
      const seen = mkdtempSync('/tmp/orc-seen-');
      expect(await layersWay(far.host, seen)).toBe('mounts');
      rmSync(seen, { recursive: true });
      expect(await layersWay('unix:///nowhere.sock', hidden.dir)).toBe('mounts');
      expect(await layersWay('tcp://127.0.0.1:1', hidden.dir)).toBe('streams');
      expect(readdirSync(join(hidden.dir, 'probe'))).toEqual([]);
    });

    layersSuite('of an engine that does not see our disk', async () => {
      const log = new MemoryLog();
      const office = openPermitOffice();
      const engine = openEngine({
        host: far.host,
        layers: 'streams',
        dir: join(hidden.dir, 'engine'),
        log,
        office,
        floor: { roots: [hidden.dir], secrets: [] },
      });
      const image = await engine.findImage(testImage);
      let made = 0;
      return {
        async run({ layers }, prepared, script) {
          const { lower, upper, work } = prepared;
          const volume = { kind: 'volume', lower, upper, work, target: workspaceTarget } as const;
          const permit = office.mint(
            testSpec({
              name: `orchestra-far-${process.pid}-${(made += 1)}`,
              image: { reference: testImage, id: image?.id ?? '' },
              seccomp: shippedSeccomp(),
              command: ['sh', '-euc', script],
              cwd: workspaceTarget,
              mounts: [...testSpec().mounts, volume],
              limits: { ...testLimits, fileSizeBytes: 2 ** 30 },
            }),
          );
          const { id } = await engine.create(permit, context);
          try {
            const tar = layers.send({ lower, owner: permit.spec.user });
            await engine.fill(id, permit, { target: workspaceTarget, tar }, context);
            const attached = await engine.attach(id);
            await engine.start(id, context);
            await attached.ready;
            await engine.release(id, permit, context);
            let said = '';
            for await (const { bytes } of attached.output) said += Buffer.from(bytes).toString();
            expect({ said, code: (await engine.wait(id)).exitCode }).toMatchObject({ code: 0 });
            attached.close();
            await layers.readBack(prepared, await engine.readBack(id, workspaceTarget), {
              allowance: roomy,
            });
            return said;
          } finally {
            await engine.remove(id, context);
          }
        },
        close: () => Promise.resolve(engine.close()),
      };
    });

    describe('a daemon', () => {
      let daemon: TestDaemon;
      let workspace: string;

      beforeAll(async () => {
        vi.stubEnv('DOCKER_HOST', far.host);
        daemon = await TestDaemon.start();
        workspace = join(daemon.dir, 'work');
        mkdirSync(join(workspace, 'src'), { recursive: true });
        writeFileSync(join(workspace, 'src/given'), 'given\n');
      });
      afterAll(async () => {
        await (daemon as TestDaemon | undefined)?.[Symbol.asyncDispose]();
      });

      const sh = (id: string, script: string, more: object = {}) => ({
        id,
        tool: 'sh',
        args: ['-ec', script],
        ...more,
      });
      async function submit(tasks: object[], flags: string[] = []) {
        const plan = join(daemon.dir, 'plan.yaml');
        writeFileSync(plan, JSON.stringify({ version: 1, tasks }));
        const all = ['run', '--plan', plan, '--workspace', workspace, ...flags];
        return daemon.cli(all);
      }
      const viewOf = async (id: string) =>
        RunView.parse(JSON.parse((await daemon.cli(['show', id, '--json'])).stdout));
      const logOf = async (id: string, task: string) =>
        (await daemon.cli(['logs', id, task])).stdout;
      const layersIn = () => readdirSync(join(daemon.stateDir, 'layers')).toSorted();

      test('says which way its layers go', async () => {
        const { stdout } = await daemon.cli(['doctor']);
        expect(stdout).toMatch(/layers.*tar streams/);
      });

      test('runs a plan whose tasks build on each other, and hands out what they made', async () => {
        const tasks = [
          sh('first', 'cat src/given; echo one > one; rm src/given; cat /etc/hosts'),
          sh('side', 'mkdir -p out/side; echo s > out/side/s'),
          sh('last', 'ls; cat one; echo two >> one; mkdir -p out; echo o > out/o', {
            deps: ['first', 'side'],
            outputs: [{ name: 'out', path: 'out' }],
          }),
        ];
        const ran = await submit(tasks);
        expect(ran).toMatchObject({ code: 0 });
        const id = '@last';
        expect(await logOf(id, 'last')).toBe('one\nout\nsrc\none\n');
        expect(await logOf(id, 'first')).toMatch(/^given\n127\.0\.0\.1\tlocalhost/);
        const { stdout } = await daemon.cli(['diff', id]);
        expect(stdout.split('\n').filter((line) => /^[+-] /.test(line))).toEqual([
          '+ one  8 B',
          '+ out/',
          '+ out/o  2 B',
          '+ out/side/',
          '+ out/side/s  2 B',
          '- src/given',
        ]);
        expect((await daemon.cli(['audit', 'verify'])).code).toBe(0);
        // Nothing of it runs again.
        expect((await submit(tasks)).stdout).toMatch(/cached/);
      });

      test('takes over what ran on, and reads back what it left', async () => {
        const counts =
          'n=0; while [ $n -lt 40 ]; do n=$((n+1)); echo $n; sleep 0.05; done; echo m > made';
        const ran = await submit(
          [sh('count', counts), sh('after', 'cat made src/given', { deps: ['count'] })],
          ['--detach', '--no-cache'],
        );
        const id = ran.stdout.trim();
        await expect.poll(async () => logOf(id, 'count')).toContain('5\n');
        await daemon.stop('SIGKILL');
        await daemon.restart();
        expect((await daemon.cli(['wait', id])).code).toBe(0);
        expect(await logOf(id, 'after')).toBe('m\ngiven\n');
        expect((await viewOf(id)).tasks.map(({ attempt }) => attempt)).toEqual([1, 1]);
      });

      test('a failed task leaves nothing, a resumed run has what the others left', async () => {
        const before = layersIn();
        const tasks = (script: string) => [
          sh('good', 'echo kept > kept'),
          sh('bad', script, { deps: ['good'], retries: 0 }),
        ];
        const ran = await submit(tasks('echo x > x; test -e src/flag'), ['--no-cache']);
        expect(ran.code).toBe(2);
        expect(layersIn().length).toBeLessThanOrEqual(before.length + 1);
        const again = await daemon.cli(['resume', '@last']);
        expect(again.stdout + again.stderr).toMatch(/good/);
        expect(again.code).toBe(2);
      });

      test('a task that leaves more than it may has passed its limit, whatever it exits with', async () => {
        const limits = { disk: '1MiB' };
        const ran = await submit(
          [sh('big', 'head -c 3000000 /dev/urandom > big', { limits, retries: 0 })],
          ['--no-cache'],
        );
        expect(ran.code).toBe(2);
        expect(ran.stdout + ran.stderr).toMatch(/limit\.disk/);
      });

      test('a cancelled run is over at once, and its sandbox and volumes with it', async () => {
        const ran = await submit([sh('long', 'echo begun; sleep 60')], ['--detach', '--no-cache']);
        const id = ran.stdout.trim();
        await expect.poll(async () => logOf(id, 'long')).toContain('begun');
        await daemon.cli(['cancel', id]);
        await daemon.cli(['wait', id]);
        expect((await viewOf(id)).state).toBe('cancelled');
        await expect.poll(() => volumesOf(far.host)).toEqual([]);
      });
    });
  },
);

async function volumesOf(host: string): Promise<string[]> {
  const { promise, resolve, reject } = Promise.withResolvers<string[]>();
  const { request } = await import('node:http');
  const req = request({ socketPath: host.replace('unix://', ''), path: '/volumes' }, (answer) => {
    let text = '';
    answer.on('data', (part) => (text += String(part)));
    answer.on('end', () => {
      const { Volumes } = JSON.parse(text) as { Volumes: { Name: string }[] | null };
      resolve((Volumes ?? []).map(({ Name }) => Name));
    });
  });
  req.on('error', reject);
  req.end();
  return promise;
}
