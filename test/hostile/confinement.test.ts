import { hash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestDaemon, type Ran } from '#test/support/daemon.ts';
import { seccompFile } from '#test/support/seccomp.ts';

const examples = new URL('../../examples/', import.meta.url).pathname;

let daemon: TestDaemon;

beforeAll(async () => {
  daemon = await TestDaemon.start();
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

/** One command in a workspace that holds nothing but `files`. */
async function exec(command: readonly string[], files: Record<string, string> = {}): Promise<Ran> {
  const dir = mkdtempSync(join(daemon.dir, 'work-'));
  writeFileSync(join(dir, 'keep.txt'), 'mine');
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return daemon.cli(['exec', '--', ...command], { cwd: dir });
}

test('a call that only a break-out makes kills the task, with 159 as the kernel’s word for it', async () => {
  const ran = await exec(['sh', '-c', 'exec mount -t tmpfs x /tmp']);
  expect(ran.code).not.toBe(0);
  const { stdout } = await daemon.cli(['show', '@last', '--json']);
  expect(stdout).toMatch(/"exitCode": ?159/);
});

test('the log names the profile by the sum of the shipped file', async () => {
  await exec(['true']);
  const { stdout } = await daemon.cli(['audit', 'list', '--type', 'container.create', '--json']);
  expect(stdout).toContain(`sha256:${hash('sha256', readFileSync(seccompFile), 'hex')}`);
});

const honest = `
import { execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import dns from 'node:dns/promises';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import { Worker } from 'node:worker_threads';

if (process.argv[2] === 'child') { process.send('hello'); process.disconnect(); }
else {
  const said = {};
  const worker = new Worker('require("worker_threads").parentPort.postMessage(6 * 7)', { eval: true });
  said.worker = (await once(worker, 'message'))[0];
  said.shell = execFileSync('sh', ['-c', 'printf "b\\\\na\\\\n" | sort | tr "\\\\n" " "; (sleep 0.1 & wait); mkfifo /tmp/p; echo piped > /tmp/p & cat /tmp/p'], { encoding: 'utf8' });
  const child = fork(process.argv[1], ['child']);
  said.forked = (await once(child, 'message'))[0];
  const long = spawn('sleep', ['100']);
  long.kill();
  said.killed = (await once(long, 'exit'))[1];
  fs.mkdirSync('watched');
  const watcher = fs.watch('watched');
  setTimeout(() => fs.writeFileSync('watched/new.txt', 'x'), 50);
  said.watched = (await once(watcher, 'change'))[1];
  watcher.close();
  fs.cpSync('watched', 'copied', { recursive: true });
  fs.symlinkSync('copied', 'link');
  fs.chmodSync('copied/new.txt', 0o600);
  fs.utimesSync('copied/new.txt', 1, 1);
  said.copied = fs.readFileSync('link/new.txt', 'utf8');
  said.interfaces = Object.keys(os.networkInterfaces());
  said.name = await dns.lookup('example.org').catch((error) => error.code);
  const server = http.createServer((_, answer) => answer.end('served')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  said.served = await (await fetch('http://127.0.0.1:' + server.address().port)).text();
  server.close();
  const local = net.createServer((socket) => socket.end('local')).listen('/tmp/socket');
  await once(local, 'listening');
  said.local = String((await once(net.connect('/tmp/socket'), 'data'))[0]);
  local.close();
  os.setPriority(5);
  said.priority = os.getPriority();
  said.shared = new Int32Array(new SharedArrayBuffer(8)).length;
  said.cpus = os.availableParallelism() > 0;
  console.log(JSON.stringify(said));
}
`;

test('what honest programs do works under the profile', async () => {
  const ran = await exec(['node', 'honest.mjs'], { 'honest.mjs': honest });
  expect(ran.stderr).toBe('');
  expect(JSON.parse(ran.stdout)).toEqual({
    worker: 42,
    shell: 'a b piped\n',
    forked: 'hello',
    killed: 'SIGTERM',
    watched: 'new.txt',
    copied: 'x',
    interfaces: ['lo'],
    name: 'EAI_AGAIN',
    served: 'served',
    local: 'local',
    priority: 5,
    shared: 2,
    cpus: true,
  });
});

test('npm ci, tsc, vitest and esbuild work under the profile', async () => {
  const dir = mkdtempSync(join(daemon.dir, 'project-'));
  cpSync(join(examples, 'typescript-project'), dir, {
    recursive: true,
    filter: (path) => !/\/(?:node_modules|runs|dist)(?:\/|$)/.test(path),
  });
  const task = (id: string, tool: string, args: string[], deps: string[]) => ({
    id,
    tool,
    args,
    deps,
  });
  const plan = {
    version: 1,
    tasks: [
      task('install', 'npm', ['ci'], []),
      task('tsc', 'npx', ['tsc', '--noEmit', '-p', 'tsconfig.json'], ['install']),
      task('vitest', 'npx', ['vitest', 'run'], ['install']),
      task('bundle', 'node', ['bundle.cjs'], ['install']),
    ],
  };
  writeFileSync(
    join(dir, 'bundle.cjs'),
    'const { bin } = require("esbuild/package.json"); require("child_process").execFileSync(require.resolve("esbuild/" + Object.values(bin)[0].replace(/^\\.?\\//, "")), ["--bundle", "src/index.ts", "--outfile=/tmp/out.js"], { stdio: "inherit" });',
  );
  writeFileSync(join(dir, 'plan.yaml'), JSON.stringify(plan));
  const ran = await daemon.cli(['run', '--workspace', dir, '--plan', 'plan.yaml'], { cwd: dir });
  expect(ran.stdout + ran.stderr).toContain('succeeded');
  expect(ran.code).toBe(0);
});

// Made by the runtime, which takes no words for them. None can be written by the user of a task;
// `/` is the image, and no set-id bit counts without new privileges.
const withoutFlags = [
  '/',
  '/dev',
  '/dev/pts',
  '/etc/hostname',
  '/etc/hosts',
  // In a slot: an empty directory where nothing was attached.
  '/opt/npm-cache',
  '/run/gate',
  '/proc/acpi',
  '/proc/keys',
  '/proc/scsi',
  '/proc/timer_list',
  '/sbin/docker-init',
  '/sys/firmware',
];

// A root that is nobody on the machine cannot make a device, so the runtime binds the machine's.
const devicesWhereUsersAreMapped = ['full', 'null', 'random', 'tty', 'urandom', 'zero'].map(
  (name) => `/dev/${name}`,
);

test('every mount is nosuid and nodev, but for those that the runtime makes by itself', async () => {
  const script = `
    const fs = require('fs');
    const mounts = fs.readFileSync('/proc/self/mountinfo', 'utf8').trim().split('\\n');
    const can = (path) => { try { fs.accessSync(path, fs.constants.W_OK); return true; } catch { return false; } };
    console.log(JSON.stringify(mounts.map((line) => line.split(' ')).map((w) => [w[4], w[5].split(','), can(w[4])])));`;
  const { stdout } = await exec(['node', '-e', script]);
  const mounts = JSON.parse(stdout) as [string, string[], boolean][];
  expect(mounts.map(([target]) => target)).toContain('/workspace');
  // What was attached to a slot covers the bare, read-only directory that it came to.
  const visible = [...new Map(mounts.map((mount) => [mount[0], mount])).values()];
  const bare = visible
    .filter(([target]) => !devicesWhereUsersAreMapped.includes(target))
    .filter(([, flags]) => !['nosuid', 'nodev'].every((f) => flags.includes(f)));
  expect(bare.map(([target]) => target).filter((each) => !withoutFlags.includes(each))).toEqual([]);
  // Files that stand for /dev/null can be written to, as that can.
  const masks = ['/proc/keys', '/proc/timer_list'];
  expect(bare.filter(([each, , canWrite]) => canWrite && !masks.includes(each))).toEqual([]);
});

test('the engine slips no name server and no name of its own in', async () => {
  const { stdout } = await exec([
    'sh',
    '-c',
    'hostname; for f in hosts hostname resolv.conf; do echo "$f:"; cat /etc/$f; done 2>&1',
  ]);
  expect(stdout.split('\n')).toEqual([
    'sandbox',
    'hosts:',
    '127.0.0.1 localhost',
    '::1 localhost ip6-localhost ip6-loopback',
    'hostname:',
    'sandbox',
    'resolv.conf:',
    '',
  ]);
});
