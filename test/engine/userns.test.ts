import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { engineSuite } from '#test/conformance/engine.suite.ts';
import { isolationSuite } from '#test/conformance/isolation.suite.ts';
import { TestDaemon } from '#test/support/daemon.ts';
import { openRealEngine } from '#test/support/real-engine.ts';
import { ownEngine, runtimeMissing } from '#test/support/runtimes.ts';

const usersFrom = 300_000;
const missing = runtimeMissing('runc');

describe.skipIf(missing !== undefined)(`Docker that maps users ${missing ?? 'is here'}`, () => {
  let engine: Awaited<ReturnType<typeof ownEngine>>;

  beforeAll(async () => {
    engine = await ownEngine({ usersFrom });
    vi.stubEnv('ORCHESTRA_ENGINE_DIR', engine.dir);
    vi.stubEnv('DOCKER_HOST', engine.host);
  });
  afterAll(async () => {
    vi.unstubAllEnvs();
    await (engine as typeof engine | undefined)?.stop();
  });

  engineSuite('Docker that maps users', () => openRealEngine(engine.host));
  isolationSuite('Docker that maps users', {}, () => openRealEngine(engine.host));

  const runs = [
    { name: 'ready slots', runtime: 'runc', setting: '' },
    { name: 'none made ahead', runtime: 'runc', setting: 'slots_ready: 0' },
    { name: 'crun', runtime: 'crun', setting: 'runtime: crun' },
    { name: 'runsc', runtime: 'runsc', setting: 'runtime: runsc' },
  ].map((one) => ({ ...one, lacks: runtimeMissing(one.runtime) }));

  describe.each(runs)('a run, $name', ({ runtime, setting, lacks }) => {
    let daemon: TestDaemon;
    let dir: string;

    beforeAll(async () => {
      if (lacks !== undefined) return;
      const file = join(engine.dir, 'orchestrad.yaml');
      writeFileSync(file, setting);
      daemon = await TestDaemon.start(['--config', file]);
      dir = join(daemon.dir, 'work');
      mkdirSync(dir);
    });
    afterAll(async () => {
      await (daemon as TestDaemon | undefined)?.[Symbol.asyncDispose]();
    });

    // gVisor tells the task of a mapping of its own; its file server is what has this one.
    test.skipIf(lacks ?? runtime === 'runsc')(
      `root of a sandbox is nobody here, and the task another still ${lacks ?? ''}`,
      async () => {
        const ran = await exec('cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g');
        const words = ran.stdout.trim().replaceAll(/\s+/g, ' ');
        expect(words).toBe(`0 ${usersFrom} 65536 0 ${usersFrom} 65536 1000 1000`);
      },
    );

    test.skipIf(lacks ?? runtime === 'runsc')(
      `the file of host names is nosuid and nodev, and a task cannot make it otherwise ${lacks ?? ''}`,
      async () => {
        const ran = await exec('grep " /etc/hosts " /proc/self/mountinfo');
        expect(ran.stdout).toContain(' ro,nosuid,nodev,');
      },
    );

    test.skipIf(lacks)('a task changes what the task before it left', async () => {
      writeFileSync(join(dir, 'given'), 'from the user\n');
      const sh = (script: string) => ({ tool: 'sh', args: ['-ec', script] });
      const tasks = [
        { id: 'one', ...sh('echo one >>given; mkdir -p a/b; echo one >a/b/made; chmod 700 a') },
        { id: 'two', deps: ['one'], ...sh('echo two >>given; echo two >>a/b/made; mv a c') },
      ];
      writeFileSync(join(dir, 'plan.json'), JSON.stringify({ version: 1, tasks }));
      const ran = await daemon.cli(['run', '--plan', 'plan.json', '--output', 'json'], {
        cwd: dir,
      });
      expect(ran).toMatchObject({ code: 0 });
      const run = /r-[0-9a-z]{10}/.exec(ran.stdout)?.[0] ?? '';
      expect(await daemon.cli(['apply', run], { cwd: dir })).toMatchObject({ code: 0 });
      expect(readFileSync(join(dir, 'given'), 'utf8')).toBe('from the user\none\ntwo\n');
      expect(readFileSync(join(dir, 'c/b/made'), 'utf8')).toBe('one\ntwo\n');
    });

    test.skipIf(lacks)('doctor says who root of a sandbox is', async () => {
      const { stdout } = await daemon.cli(['doctor']);
      expect(stdout).toContain(`root of a sandbox is user ${usersFrom} here`);
    });

    const exec = async (script: string) =>
      daemon.cli(['exec', '--', 'sh', '-c', script], { cwd: dir });
  });
});
