import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

// A checkout of its own with a program called npm that only writes down what it is asked.
let root: string;
const npmLog = () => path.join(root, 'npm.log');
const calls = () => (existsSync(npmLog()) ? readFileSync(npmLog(), 'utf8').trim().split('\n') : []);

beforeEach(() => {
  root = realpathSync(mkdtempSync(path.join(tmpdir(), 'checkout-')));
  for (const dir of ['setup', 'bin']) mkdirSync(path.join(root, dir));
  for (const name of ['main.mjs', 'check.mjs', 'toolchain.mjs', 'pid-lock.mjs']) {
    const source = fileURLToPath(new URL(`../../../setup/${name}`, import.meta.url));
    copyFileSync(source, path.join(root, 'setup', name));
  }
  writeFileSync(path.join(root, 'package.json'), '{"type":"module"}');
  writeLock('1.0.0');
  writeNpm('sleep 0.2; mkdir -p node_modules');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function writeLock(version: string): void {
  const packages = { '': {}, 'node_modules/a': { version, integrity: 'sha512-x' } };
  writeFileSync(path.join(root, 'package-lock.json'), JSON.stringify({ packages }));
}

function writeNpm(body: string): void {
  const script = `#!/bin/sh\necho "$@" >> ${npmLog()}\n${body}\n`;
  writeFileSync(path.join(root, 'bin/npm'), script, { mode: 0o755 });
}

function start(arguments_: string[], env: NodeJS.ProcessEnv = {}) {
  return spawn(process.execPath, [path.join(root, 'setup/main.mjs'), ...arguments_], {
    cwd: root,
    env: { PATH: `${path.join(root, 'bin')}:/usr/bin:/bin`, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function run(arguments_: string[], env: NodeJS.ProcessEnv = {}) {
  const child = start(arguments_, env);
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number]>,
  ]);
  return { out, err, code };
}

function writeProgram(body: string): void {
  writeFileSync(path.join(root, 'program.ts'), body);
}

test('a failed install says what npm said and what to do, and leaves no stamp', async () => {
  writeNpm('echo "npm error ENOTFOUND registry" >&2; exit 7');
  writeProgram('');
  const first = await run(['exec', 'program.ts']);
  expect(first.code).toBe(1);
  expect(first.err).toContain('npm ci ended with 7');
  expect(first.err).toContain('ENOTFOUND registry');
  expect(first.err).toContain('Next  check that npm reaches its registry');
  await run(['exec', 'program.ts']);
  expect(calls()).toHaveLength(2);
});

test('bytes that do not match their pin are told apart from a registry that is away', async () => {
  writeNpm('echo "npm error code EINTEGRITY" >&2; exit 1');
  const { err } = await run(['exec', 'program.ts']);
  expect(err).toContain('do not go on with that registry');
});

test.each([[['nope']], [[]], [['__proto__']], [['exec']]])(
  'the command line %j is refused with the usage',
  async (arguments_) => {
    const { code, err } = await run(arguments_);
    expect(code).toBe(1);
    expect(err).toContain('setup | demo | test');
  },
);

test('a program gets its arguments, and its exit code is kept', async () => {
  writeProgram('console.log(JSON.stringify(process.argv.slice(2))); process.exitCode = 42;');
  const { out, code } = await run(['exec', 'program.ts', '--flag', 'two words', '']);
  expect(JSON.parse(out)).toEqual(['--flag', 'two words', '']);
  expect(code).toBe(42);
});

test('a program runs where npm was called, not in the checkout', async () => {
  writeProgram('console.log(process.cwd());');
  const elsewhere = realpathSync(tmpdir());
  const { out } = await run(['exec', 'program.ts'], { INIT_CWD: elsewhere });
  expect(out.trim()).toBe(elsewhere);
});

test('SIGTERM reaches the program, and its own answer to it counts', async () => {
  writeProgram(
    `process.on('SIGTERM', () => process.exit(9)); setInterval(() => {}, 1000); console.log('up');`,
  );
  const child = start(['exec', 'program.ts']);
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  expect((await once(child, 'close'))[0]).toBe(9);
});

test('a program that a signal ended is told as 128 and the signal', async () => {
  writeProgram(`process.kill(process.pid, 'SIGKILL');`);
  expect((await run(['exec', 'program.ts'])).code).toBe(137);
});

test('dependencies are installed once, and again when the lockfile changed', async () => {
  writeProgram('');
  await run(['exec', 'program.ts']);
  const second = await run(['exec', 'program.ts']);
  expect(second.err).toBe('');
  expect(calls()).toEqual(['ci --ignore-scripts --no-audit --no-fund --loglevel=error']);
  writeLock('1.0.1');
  await run(['exec', 'program.ts']);
  expect(calls()).toHaveLength(2);
});

test('what was installed by hand and matches the lockfile is not installed again', async () => {
  mkdirSync(path.join(root, 'node_modules'));
  const packages = { 'node_modules/a': { version: '1.0.0', integrity: 'sha512-x' } };
  const hidden = path.join(root, 'node_modules/.package-lock.json');
  writeFileSync(hidden, JSON.stringify({ packages }));
  writeProgram('');
  await run(['exec', 'program.ts']);
  expect(calls()).toEqual([]);
});

test('two set-ups at once install once', async () => {
  writeProgram('');
  const [one, two] = await Promise.all([run(['exec', 'program.ts']), run(['exec', 'program.ts'])]);
  expect([one.code, two.code]).toEqual([0, 0]);
  expect(calls()).toHaveLength(1);
});
