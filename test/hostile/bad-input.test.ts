import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { watchCreated } from '#test/support/containers.ts';
import { runCli, TestDaemon, type Ran } from '#test/support/daemon.ts';
import { FakeRegistry } from '#test/support/fake-registry.ts';

const isRoot = process.getuid?.() === 0;
const root = new URL('../..', import.meta.url).pathname;

let registry: FakeRegistry;
let daemon: TestDaemon;
let created: Awaited<ReturnType<typeof watchCreated>>;
let dir: string;
let made = 0;
let mayCreate = false;

beforeAll(async () => {
  registry = await FakeRegistry.open();
  vi.stubEnv('npm_config_registry', registry.url);
  daemon = await TestDaemon.start();
  const head = JSON.parse((await daemon.ask('GET', '/v1/audit/head')).text) as { origin: string };
  created = await watchCreated(head.origin);
});

afterAll(async () => {
  created?.[Symbol.dispose]();
  await daemon?.[Symbol.asyncDispose]();
  await registry?.[Symbol.asyncDispose]();
  vi.unstubAllEnvs();
});

beforeEach(() => {
  made += 1;
  mayCreate = false;
  dir = join(daemon.dir, `work-${made}`);
  mkdirSync(dir);
  writeFileSync(join(dir, 'keep.txt'), 'mine');
});

afterEach(() => {
  if (!mayCreate) expect(created.names()).toEqual([]);
});

/** The directory with every name, kind, mode, time and content in it. */
function everything(path: string): string[] {
  const names = readdirSync(path, { encoding: 'buffer' }).map((name) => name.toString('latin1'));
  return names.toSorted().flatMap((name) => {
    const at = Buffer.concat([Buffer.from(`${path}/`), Buffer.from(name, 'latin1')]);
    const stat = lstatSync(at);
    const facts = `${name} ${stat.mode} ${stat.mtimeMs} ${stat.ino}`;
    if (stat.isDirectory()) return [facts, ...everything(`${path}/${name}`)];
    if (stat.isSymbolicLink()) return [`${facts} ${readlinkSync(at)}`];
    return [stat.isFile() ? `${facts} ${readFileSync(at, 'latin1')}` : facts];
  });
}

/** One command on the workspace, which is the same to the last bit after it. */
async function orchestra(...args: string[]): Promise<Ran> {
  const before = everything(dir);
  const ran = await daemon.cli(args, { cwd: dir });
  expect(everything(dir)).toEqual(before);
  return ran;
}

const run = async (...args: string[]): Promise<Ran> =>
  orchestra('run', '--output', 'plain', '--report-dir', join(daemon.dir, 'reports'), ...args);

const said = ({ stdout, stderr }: Ran): string => stdout + stderr;

const task = (rest: string): string => `version: 1\ntasks:\n  - { id: a, tool: sh${rest} }\n`;
const two = (first: string, second: string): string =>
  `version: 1\ntasks:\n  - { tool: sh, ${first} }\n  - { tool: sh, ${second} }\n`;

test.each<[string, string[], RegExp]>([
  ['a flag that is not there', ['run', '--worksapce', '.'], /--workspace/],
  ['a command that is not there', ['rnu'], /run/],
  ['a flag without its value', ['run', '--plan'], /--plan/],
  ['a duration that is none', ['run', 'Build', '--timeout', 'soon'], /soon.*duration/],
  ['more tasks at once than there may be', ['run', 'Build', '-j', '9e9'], /concurrency/],
  ['a plan that is not there', ['run', '--plan', 'nowhere.yaml'], /nowhere\.yaml is not there/],
  ['a plan that is a directory', ['run', '--plan', '.'], /cannot be read/],
  ['a plan without end', ['run', '--plan', '/dev/zero'], /larger than/],
  ['settings without end', ['run', 'Build', '-c', '/dev/zero'], /larger than/],
  ['a workspace that is not there', ['run', 'Build', '-w', 'nowhere'], /nowhere/],
  ['a workspace that is a file', ['run', 'Build', '-w', 'keep.txt'], /keep\.txt/],
  ['a policy that is not there', ['run', 'Build', '--policy', 'lax'], /lax/],
  ['a run that is not there', ['show', '../../etc/passwd'], /passwd/],
  ['an intent of nothing', ['run', ''], /intent/i],
])('%s is exit 1, named, and no run', async (_, args, message) => {
  const ran = await orchestra(...args);
  expect(said(ran)).toMatch(message);
  expect(said(ran)).not.toContain('This is a bug');
  expect(ran.code).toBe(1);
});

test.each<[string, string, RegExp]>([
  ['broken YAML', 'version: 1\ntasks:\n  - { id: a, tool: sh\n', /plan\.yaml:\d+:\d+ /],
  ['no plan at all', '', /plan\.yaml/],
  ['a word that is not known', task(', image: evil'), /plan\.yaml:3.*image/],
  ['a cycle', two('id: a, deps: [b]', 'id: b, deps: [a]'), /a → b → a|b → a → b|cycle/i],
  ['a task that waits for itself', task(', deps: [a]'), /a/],
  ['a tool that is not known', 'version: 1\ntasks:\n  - { id: a, tool: docker }\n', /docker/],
  ['an id given twice', two('id: a', 'id: a'), /two tasks are called a/],
  ['an id that is a path', 'version: 1\ntasks:\n  - { id: ../x, tool: sh }\n', /plan\.yaml:3/],
  ['a dependency that is not there', task(', deps: [ghost]'), /ghost/],
  ['a directory further up', task(', cwd: ../..'), /upwards/],
  ['an absolute directory', task(', cwd: /etc'), /absolute/],
  ['an output further up', task(', outputs: [{ name: o, path: a/../../o }]'), /upwards/],
  ['an absolute output', task(', outputs: [{ name: o, path: /etc/shadow }]'), /absolute/],
  ['a NUL in an argument', task(String.raw`, args: ['-c', "a\0b"]`), /NUL|control/i],
  ['a NUL in a path', task(String.raw`, cwd: "a\0b"`), /NUL|control/i],
  ['the key __proto__', `__proto__: { polluted: true }\n${task('')}`, /__proto__/],
  ['__proto__ as a variable', task(', env: { __proto__: x }'), /__proto__|env/],
  ['a variable that decides what runs', task(', env: { LD_PRELOAD: ./x.so }'), /LD_PRELOAD/],
  [
    'lists in lists, 10^5 deep',
    `version: 1\ntasks: ${'['.repeat(1e5)}${']'.repeat(1e5)}`,
    /nested/,
  ],
  ['lists in lists, never closed', '['.repeat(1e5), /nested/],
  ['an alias that grows', bomb(), /alias/i],
  ['more tasks than the policy allows', many(1001), /1000|1001/],
  ['a plan of 5 MiB', `# ${'x'.repeat(5 * 1024 ** 2)}\n${task('')}`, /larger than/],
])('a plan with %s is refused with exit 1 and its place', async (_, text, message) => {
  writeFileSync(join(dir, 'plan.yaml'), text);
  const ran = await run('--plan', 'plan.yaml');
  expect(said(ran)).toMatch(message);
  expect(said(ran)).not.toContain('This is a bug');
  expect(ran.code).toBe(1);
});

/** Nine levels of ten aliases each: a billion leaves. */
function bomb(): string {
  const levels = Array.from({ length: 9 }, (_, i) =>
    i === 0
      ? 'l0: &l0 [x]'
      : `l${i}: &l${i} [${Array.from({ length: 10 }, () => `*l${i - 1}`).join(', ')}]`,
  );
  return `${levels.join('\n')}\n${task('')}`;
}

function many(tasks: number): string {
  const lines = Array.from({ length: tasks }, (_, i) => `  - { id: t${i}, tool: sh, args: [x] }`);
  return `version: 1\ntasks:\n${lines.join('\n')}\n`;
}

test.each<[string, string, RegExp]>([
  ['broken YAML', 'version: 1\n  name: [', /policy\.yaml:\d+:\d+ /],
  ['an unknown key', 'version: 1\nname: mine\nnetwork: host\n', /network/],
  ['the key __proto__', 'version: 1\n__proto__: {}\n', /__proto__/],
])('a policy with %s is refused with exit 1 and its place', async (_, text, message) => {
  writeFileSync(join(dir, 'policy.yaml'), text);
  writeFileSync(join(dir, 'plan.yaml'), task(", args: ['-c', 'true']"));
  const ran = await run('--plan', 'plan.yaml', '--policy', 'policy.yaml');
  expect(said(ran)).toMatch(message);
  expect(ran.code).toBe(1);
});

test('a plan that is no UTF-8 is refused, not repaired', async () => {
  const text = Buffer.concat([Buffer.from('# '), Buffer.of(0xff), Buffer.from(`\n${task('')}`)]);
  writeFileSync(join(dir, 'plan.yaml'), text);
  const ran = await run('--plan', 'plan.yaml');
  expect([ran.code, said(ran)]).toEqual([1, expect.stringContaining('UTF-8')]);
});

test('a workspace too large or too deep is refused before a byte of it is sent', async () => {
  execFileSync('truncate', ['-s', '17G', join(dir, 'sparse')]);
  const large = await daemon.cli(['exec', '--', 'true'], { cwd: dir });
  expect([large.code, said(large)]).toEqual([1, expect.stringMatching(/too large|bytes/)]);
  rmSync(join(dir, 'sparse'));
  mkdirSync(join(dir, 'd/'.repeat(200)), { recursive: true });
  const deep = await orchestra('exec', '--', 'true');
  expect([deep.code, said(deep)]).toEqual([1, expect.stringMatching(/deep|too large/)]);
});

test('settings of the CLI and of the daemon are refused by line, with exit 1', async () => {
  writeFileSync(join(dir, 'cli.yaml'), 'version: 1\nworkspce: .\n');
  const ran = await run('Build', '-c', 'cli.yaml');
  expect([ran.code, said(ran)]).toEqual([1, expect.stringMatching(/cli\.yaml:2:1 .*workspace/s)]);

  writeFileSync(join(dir, 'cli.yaml'), `workspace: ${'{a: '.repeat(5e4)}`);
  const nested = await run('Build', '-c', 'cli.yaml');
  expect([nested.code, said(nested)]).toEqual([1, expect.stringContaining('nested too deeply')]);
  expect(said(nested)).not.toMatch(/stack/);

  writeFileSync(join(dir, 'daemon.yaml'), 'socket: relative.sock\nstate_dri: /x\n');
  const checked = await orchestrad('--check', '--config', join(dir, 'daemon.yaml'));
  expect([checked.code, said(checked)]).toEqual([
    1,
    expect.stringMatching(/daemon\.yaml:1:.*daemon\.yaml:2:.*state_dir/s),
  ]);
  const flagged = await orchestrad('--no-such-flag');
  expect([flagged.code, said(flagged)]).toEqual([1, expect.stringContaining('--no-such-flag')]);
});

async function orchestrad(...args: string[]): Promise<Ran> {
  return runCli(args, { cwd: dir, program: join(root, 'daemon/main.ts') });
}

test.each<[string, string, string | Buffer, number]>([
  ['lists in lists, 10^5 deep', '/v1/runs', `{"intent":${deep(1e5)}}`, 400],
  ['lists in lists where JSON is free', '/v1/plans', deep(1e5), 400],
  ['JSON that ends early', '/v1/runs', '{"intent":', 400],
  ['bytes that are no UTF-8', '/v1/runs', Buffer.from('7b22ff227d', 'hex'), 400],
  ['the key __proto__', '/v1/runs', '{"__proto__":{"a":1},"intent":"x"}', 400],
  ['a snapshot that is a path', '/v1/runs', '{"intent":"x","snapshot":"../../etc"}', 400],
  ['a frame that leads out', '/v1/snapshots', '{"type":"dir","path":"../x"}\n', 422],
  ['a frame with an absolute path', '/v1/snapshots', '{"type":"dir","path":"/x"}\n', 422],
  ['a frame that never ends', '/v1/snapshots', '{'.repeat(40_000), 422],
  ['an upload without its end', '/v1/snapshots', '{"type":"dir","path":"x"}\n', 422],
])('the API refuses %s and goes on', async (_, path, body, status) => {
  const answer = await daemon.ask('POST', path, body);
  expect([answer.status, answer.headers['content-type']]).toEqual([
    status,
    'application/problem+json',
  ]);
  expect(answer.text).not.toContain(daemon.stateDir);
  expect((await daemon.ask('GET', '/readyz')).status).toBe(200);
});

function deep(levels: number): string {
  return '['.repeat(levels) + ']'.repeat(levels);
}

test('a body of 100 MiB is refused with 413 however it comes, without being kept in memory', async () => {
  const before = residentBytes();
  for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
    expect(await flood('/v1/runs', headers)).toBe(413);
  }
  expect(residentBytes() - before).toBeLessThan(400 * 1024 ** 2);
  expect((await daemon.ask('GET', '/readyz')).status).toBe(200);
});

function residentBytes(): number {
  const [, kib = '0'] =
    /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8')) ?? [];
  return Number(kib) * 1024;
}

async function flood(path: string, headers: Record<string, string>): Promise<number> {
  const bytes = 100 * 1024 ** 2;
  const length = 'transfer-encoding' in headers ? {} : { 'content-length': String(bytes) };
  return new Promise((resolve, reject) => {
    const call = request(
      { socketPath: daemon.socket, method: 'POST', path, headers: { ...headers, ...length } },
      (answer) => {
        resolve(answer.statusCode ?? 0);
        answer.resume();
        call.destroy();
      },
    );
    // The daemon may close the connection under the rest of the body.
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
    });
    const piece = Buffer.alloc(1024 ** 2, 0x20);
    let left = bytes / piece.length;
    const write = (): void => {
      while (left > 0 && !call.destroyed) {
        left -= 1;
        if (!call.write(piece)) {
          call.once('drain', write);
          return;
        }
      }
      call.end();
    };
    write();
  });
}

/** A project whose lockfile pins one package by the given integrity. */
function project(manifest: Record<string, string>, integrity: string): void {
  const write = (name: string, value: object) =>
    writeFileSync(join(dir, name), JSON.stringify(value, undefined, 2));
  const facts = { name: 'demo', version: '1.0.0' };
  const scripts = { build: 'node -e 0' };
  write('package.json', { ...facts, scripts, dependencies: manifest });
  write('package-lock.json', {
    ...facts,
    lockfileVersion: 3,
    requires: true,
    packages: {
      '': { ...facts, dependencies: { honest: '1.0.0' } },
      'node_modules/honest': { version: '1.0.0', integrity },
    },
  });
}

test('a lockfile that does not pin what package.json asks for is refused with exit 1', async () => {
  const integrity = await registry.publish('honest', '1.0.0');
  project({ honest: '1.0.0', other: '^2.0.0' }, integrity);
  const ran = await run('Build');
  expect([ran.code, said(ran)]).toEqual([1, expect.stringMatching(/other/)]);
  expect(registry.paths).toEqual([]);
});

test('a package with another hash than the lockfile pins ends the run with exit 4', async () => {
  await registry.publish('honest', '1.0.0', { files: { 'index.js': 'process.exit(1)' } });
  project({ honest: '1.0.0' }, `sha512-${'A'.repeat(86)}==`);
  const ran = await run('Build');
  expect([ran.code, said(ran)]).toEqual([4, expect.stringMatching(/honest.*(?:integrity|hash)/s)]);
  expect(registry.paths).toContain('/honest/-/honest-1.0.0.tgz');
});

test('special files, links that lead out and odd names are left out and said so, or arrive as they are', async () => {
  mayCreate = true;
  const server = createServer().listen(join(dir, 'socket'));
  execFileSync('mkfifo', [join(dir, 'fifo')]);
  if (isRoot) execFileSync('mknod', [join(dir, 'device'), 'c', '1', '3']);
  symlinkSync('/etc/passwd', join(dir, 'absolute'));
  symlinkSync('../../..', join(dir, 'upwards'));
  symlinkSync('keep.txt', join(dir, 'inside'));
  writeFileSync(join(dir, 'new\nline'), 'n');
  writeFileSync(join(dir, '\u001b[31mred'), 'r');
  writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0x62, 0xff, 0x64])]), 'b');
  mkdirSync(join(dir, '__proto__'));
  writeFileSync(join(dir, '__proto__/constructor'), 'p');
  writeFileSync(join(dir, '-rf'), 'd');
  chmodSync(join(dir, 'keep.txt'), 0o600);
  const script = `
    const fs = require('fs');
    const names = fs.readdirSync('.', { encoding: 'buffer' }).map((n) => n.toString('latin1'));
    console.log(JSON.stringify([names.sort(), fs.readFileSync('inside', 'utf8')]));`;
  const ran = await orchestra('exec', '-v', '--', 'node', '-e', script);
  server.close();
  expect(ran.code).toBe(0);
  const [names, inside] = JSON.parse(ran.stdout) as [string[], string];
  expect(inside).toBe('mine');
  expect(names).toEqual(
    ['\u001b[31mred', '-rf', '__proto__', 'b\xffd', 'inside', 'keep.txt', 'new\nline'].toSorted(),
  );
  for (const left of ['socket', 'fifo', ...(isRoot ? ['device'] : []), 'absolute', 'upwards']) {
    expect(ran.stderr).toContain(left);
  }
  expect(ran.stderr).not.toContain('\u001b');
  // The watch that saw no container in all the tests above does see one.
  await expect.poll(() => created.names().length).toBeGreaterThan(0);
});

test('after all of it the log verifies and nobody was granted a container but once', async () => {
  mayCreate = true;
  const verified = await daemon.cli(['audit', 'verify']);
  expect([verified.code, said(verified)]).toEqual([0, expect.anything()]);
  const { text } = await daemon.ask('GET', '/v1/audit/records?limit=500&type=container.release');
  const { items } = JSON.parse(text) as { items: { record: { stage: string } }[] };
  expect(items.map(({ record }) => record.stage)).toEqual(['intent', 'result']);
});
