import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GenericContainer, Wait, type StartedTestContainer } from 'testcontainers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findEngine } from '#setup/engine/find.ts';
import { ensureImage } from '#setup/image/images.ts';
import { runCli } from '#test/support/daemon.ts';

const root = new URL('../..', import.meta.url).pathname;
const shipped = ['bin', 'cli', 'contract', 'daemon', 'images', 'policies', 'setup', 'verifier'];
const base = 'orchestra-test/node:24';

let dir: string;
let started: StartedTestContainer | undefined;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'orc-image-'));
  const engine = await findEngine({ env: process.env });
  process.env['DOCKER_HOST'] = engine.host;
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
  process.env['TESTCONTAINERS_HOST_OVERRIDE'] = '127.0.0.1';
  const sandbox = await ensureImage({ engine, cacheDir: join(dir, 'cache'), progress: () => {} });

  // What node:24-alpine would bring where a registry answers: the Node that runs this test.
  const baseContext = join(dir, 'base');
  mkdirSync(baseContext);
  cpSync(process.execPath, join(baseContext, 'node'));
  writeFileSync(
    join(baseContext, 'Dockerfile'),
    `FROM ${sandbox.tag}\nUSER 0\nCOPY node /usr/local/bin/node\n`,
  );
  await GenericContainer.fromDockerfile(baseContext).build(base, { deleteOnExit: false });

  const context = join(dir, 'context');
  mkdirSync(context);
  for (const name of [...shipped, 'package.json', 'package-lock.json', '.npmrc', 'Dockerfile']) {
    cpSync(join(root, name), join(context, name), { recursive: true });
  }
  execFileSync('npm', ['ci', '--omit=dev', '--ignore-scripts', '--prefer-offline'], {
    cwd: context,
    stdio: 'pipe',
  });
  const image = await GenericContainer.fromDockerfile(context)
    .withBuildArgs({ BASE: base })
    .build('orchestra-test/orchestrad', { deleteOnExit: false });
  const [state, run] = [join(dir, 'state'), join(dir, 'run')];
  for (const folder of [state, run]) mkdirSync(folder, { mode: 0o755 });
  started = await image
    .withCommand([
      '--engine',
      'unix:///var/run/docker.sock',
      '--state-dir',
      state,
      '--socket',
      join(run, 'orchestra.sock'),
    ])
    .withBindMounts([
      { source: engine.socketPath ?? '', target: '/var/run/docker.sock' },
      { source: state, target: state },
      { source: run, target: run },
    ])
    .withNetworkMode('none')
    .withWaitStrategy(Wait.forLogMessage(/"msg":"ready"/))
    .withStartupTimeout(60_000)
    .start();
});

afterAll(async () => {
  await started?.stop({ timeout: 30_000 });
  rmSync(dir, { recursive: true, force: true });
});

test('the image runs orchestrad against a mounted engine socket, and a task runs through it', async () => {
  const env = { ORCHESTRA_HOST: `unix://${join(dir, 'run/orchestra.sock')}` };
  mkdirSync(join(dir, 'work'));
  writeFileSync(join(dir, 'work/file.txt'), 'seen');
  const options = { cwd: join(dir, 'work'), env };
  const ran = await runCli(['exec', '--', 'sh', '-c', 'cat file.txt; id -u'], options);
  expect([ran.code, ran.stdout], ran.stderr).toEqual([0, 'seen1000\n']);
  const doctor = await runCli(['doctor', '--json'], options);
  expect(doctor.stdout).toContain('"name":"seccomp"');
});

test('it stops cleanly and leaves a log that verifies', async () => {
  await started?.stop({ timeout: 30_000 });
  started = undefined;
  const ran = await runCli(['audit', 'verify', join(dir, 'state/audit')], { cwd: dir });
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('OK')]);
});
