import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = new URL('../..', import.meta.url).pathname;
// A machine's own older Node, where there is one beside the toolchain's.
const olderNode = ['/usr/bin/node', '/usr/local/bin/node'].find(
  (path) => existsSync(path) && /^v(?:18|20|22)\./.test(execFileSync(path, ['-v']).toString()),
);

let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'orc-pack-'));
  const npm = (args: readonly string[], cwd: string) =>
    execFileSync('npm', [...args, '--prefer-offline', '--no-audit', '--no-fund'], {
      cwd,
      stdio: 'pipe',
    });
  npm(['pack', '--pack-destination', dir], root);
  const [tarball = ''] = readdirSync(dir);
  npm(['install', '-g', '--prefix', join(dir, 'global'), join(dir, tarball)], dir);
});

afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const program = (name: string) => join(dir, 'global/bin', name);

function start(name: string, args: readonly string[], node = process.execPath) {
  mkdirSync(join(dir, 'work'), { recursive: true });
  writeFileSync(join(dir, 'work/file.txt'), 'seen');
  const { status, stdout, stderr } = spawnSync(node, [program(name), ...args], {
    cwd: join(dir, 'work'),
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

test('both programs of the installed package start', () => {
  expect(start('orchestra', ['version'])).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^orchestra \d+\.\d+\.\d+/),
  });
  expect(start('orchestrad', ['--check'])).toMatchObject({ status: 0 });
});

test('the installed package runs a task with a daemon of its own', () => {
  const args = ['--local', '--state-dir', join(dir, 'state'), 'exec', '--', 'cat', 'file.txt'];
  expect(start('orchestra', args)).toMatchObject({ status: 0, stdout: 'seen' });
});

test('the installed package attacks itself and signs what it found, with nothing but itself', () => {
  const only = 'escape.mount,escape.user-namespace,files.link-to-host,daemon.json,audit.verify';
  const local = ['--local', '--state-dir', join(dir, 'state')];
  const made = start('orchestra', [...local, 'selftest', '--hostile', '--only', only]);
  expect(made).toMatchObject({ status: 0, stdout: expect.stringContaining('EVERY WALL HELD') });
  const [folder = ''] = readdirSync(join(dir, 'work')).filter((name) =>
    name.startsWith('selftest-'),
  );
  const checked = start('orchestra', [...local, 'selftest', 'verify', folder]);
  expect(checked).toMatchObject({ status: 0, stdout: expect.stringContaining('says the same') });
});

test.skipIf(olderNode === undefined)(
  'an older Node gets one sentence and the way out (needs one on this machine)',
  () => {
    const { status, stderr } = start('orchestra', ['version'], olderNode);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^orchestra: Node \d+\.\d+\.\d+ is too old, 24\.15 or later is needed\n/,
    );
    expect(stderr).toContain('Next  npm install -g node@24');
  },
);
