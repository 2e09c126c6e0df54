import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GenericContainer, Wait, type StartedTestContainer } from 'testcontainers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Sbom } from '#contract/sbom.ts';
import { findEngine } from '#setup/engine/find.ts';
import { ensureImage } from '#setup/image/images.ts';
import { runCli } from '#test/support/daemon.ts';

const root = new URL('../..', import.meta.url).pathname;
const shipped = [
  'bin',
  'cli',
  'contract',
  'daemon',
  'images',
  'packaging',
  'policies',
  'setup',
  'signer',
  'verifier',
];
const base = 'orchestra-test/node:24';

let dir: string;
let started: StartedTestContainer | undefined;
let relay: Server | undefined;
const client = 'orchestra-test/orchestra';

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
  const build = async (target: string) =>
    GenericContainer.fromDockerfile(context)
      .withTarget(target)
      .withBuildArgs({ BASE: base })
      .build(`orchestra-test/${target}`, { deleteOnExit: false });
  await build('orchestra');
  const image = await build('orchestrad');
  const [state, run] = [join(dir, 'state'), join(dir, 'run')];
  for (const folder of [state, run]) {
    mkdirSync(folder, { mode: 0o755 });
    chownSync(folder, 1000, 1000);
  }
  chmodSync(dir, 0o755);
  // An engine whose socket its group may use, as Docker's is; the one of the tests is root's alone.
  const enginePath = join(dir, 'engine.sock');
  relay = createServer((caller) => {
    const engineEnd = connect(engine.socketPath ?? '');
    caller.pipe(engineEnd).pipe(caller);
    for (const end of [caller, engineEnd])
      end.on('error', () => [caller, engineEnd].map((each) => each.destroy()));
  }).listen(enginePath);
  await once(relay, 'listening');
  chmodSync(enginePath, 0o660);
  chownSync(enginePath, 0, 1000);
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
      { source: enginePath, target: '/var/run/docker.sock' },
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
  relay?.close();
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

test('neither image runs as root, and each says what is in it', () => {
  for (const name of ['orchestra', 'orchestrad']) {
    const { Config } = inspected(`orchestra-test/${name}`);
    expect([Config.User, Config.Labels['org.opencontainers.image.title']]).toEqual([
      '1000:1000',
      name,
    ]);
    const file = Config.Labels['orchestra.sbom'] ?? '';
    const text = docker(
      'run',
      '--rm',
      '--network',
      'none',
      '--entrypoint',
      'cat',
      `orchestra-test/${name}`,
      file,
    );
    const { components } = Sbom.parse(JSON.parse(text));
    expect(components.some(({ purl }) => purl?.startsWith('pkg:npm/zod@'))).toBe(true);
  }
});

test('the image of the command line speaks to the daemon through its socket, and holds no daemon', () => {
  const run = join(dir, 'run');
  const said = docker(
    'run',
    '--rm',
    '--network',
    'none',
    '-v',
    `${run}:/run/orchestra`,
    client,
    'runs',
  );
  expect(said).toContain('succeeded');
  const there = docker(
    'run',
    '--rm',
    '--network',
    'none',
    '--entrypoint',
    'ls',
    client,
    '/opt/orchestra',
  );
  expect(there.split('\n')).not.toContain('daemon');
});

function docker(...args: readonly string[]): string {
  return execFileSync('docker', ['-H', process.env['DOCKER_HOST'] ?? '', ...args], {
    encoding: 'utf8',
  });
}

function inspected(image: string) {
  const [found] = JSON.parse(docker('image', 'inspect', image)) as {
    Config: { User: string; Labels: Record<string, string> };
  }[];
  if (found === undefined) throw new Error(`${image} is not there`);
  return found;
}

test('it stops cleanly and leaves a log that verifies', async () => {
  await started?.stop({ timeout: 30_000 });
  started = undefined;
  const ran = await runCli(['audit', 'verify', join(dir, 'state/audit')], { cwd: dir });
  expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('OK')]);
});
