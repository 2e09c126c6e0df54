import { readdirSync, readFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { hash } from 'node:crypto';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { LogRecord } from '#contract/records.ts';
import type { RunView } from '#contract/run.ts';
import { spellingsOf } from '#daemon/secrets/spellings.ts';
import { findEngine } from '#setup/engine/find.ts';
import { TestDaemon } from '#test/support/daemon.ts';

const root = new URL('../..', import.meta.url).pathname;
const value = 'npm_7QzAb/c+9dWx "k&5" ~tail-of-it';
const spellings = spellingsOf(Buffer.from(value)).map((one) => Buffer.from(one));

let daemon: TestDaemon;
let dir: string;
let made = 0;

beforeAll(async () => {
  daemon = await TestDaemon.start();
  const policies = join(daemon.dir, 'policies');
  mkdirSync(policies);
  const standard = readFileSync(join(root, 'policies/default.yaml'), 'utf8');
  writeFileSync(
    join(policies, 'giving.yaml'),
    standard
      .replace('name: default', 'name: giving')
      .replace('\nsecrets: []', '\nsecrets: [{ name: TOKEN, tools: [sh], tasks: [use] }]'),
  );
  const config = join(daemon.dir, 'orchestrad.yaml');
  writeFileSync(config, `policies: ${policies}\nceiling: giving\npolicy: giving\n`);
  await daemon.stop();
  await daemon.restart(['--config', config]);
  const set = await daemon.cli(['secret', 'set', 'TOKEN'], { input: `${value}\n` });
  expect([set.code, set.stdout]).toEqual([0, expect.stringContaining('TOKEN is set')]);
});

afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]();
});

beforeEach(() => {
  made += 1;
  dir = join(daemon.dir, `work-${made}`);
  mkdirSync(dir);
  writeFileSync(join(dir, 'own.txt'), 'own');
});

type Task = { id: string; script: string; secrets?: string[]; deps?: string[]; outputs?: object[] };

async function run(tasks: readonly Task[]) {
  const file = join(daemon.dir, `plan-${made}.yaml`);
  const plan = tasks.map(({ script, ...task }) => ({ ...task, tool: 'sh', args: ['-c', script] }));
  writeFileSync(file, JSON.stringify({ version: 1, tasks: plan }));
  const reports = join(daemon.dir, `reports-${made}`);
  const args = ['run', '--plan', file, '--output', 'plain', '--report-dir', reports];
  const ran = await daemon.cli(args, { cwd: dir });
  const view = JSON.parse((await daemon.cli(['show', '@last', '--json'])).stdout) as RunView;
  const logs = await daemon.cli(['logs', view.id, '--raw']);
  const listed = await daemon.cli(['audit', 'list', '--run', view.id, '-n', '200', '--json']);
  const { items } = JSON.parse(listed.stdout) as { items: { record: LogRecord }[] };
  const records = items.map(({ record }) => record);
  return { ...ran, view, output: logs.stdout, records, reports };
}

/** Every file beneath that holds a spelling of the value, the store itself left out. */
function leaks(...folders: string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .filter((path) => !path.startsWith(join(daemon.stateDir, 'secrets')))
      .filter((path) => {
        const content = readFileSync(path);
        return spellings.some((spelling) => content.includes(spelling));
      }),
  );
}

async function engineSays(path: string): Promise<string> {
  const { socketPath } = await findEngine({ env: process.env });
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path }, (answer) => {
      let text = '';
      answer.on('data', (part) => (text += String(part)));
      answer.on('end', () => resolve(text));
    });
    call.on('error', reject);
    call.end();
  });
}

/** What the engine shows of each container while `work` goes on. */
async function inspectedWhile<T>(work: Promise<T>): Promise<{ result: T; seen: string[] }> {
  const seen: string[] = [];
  const over = new AbortController();
  const watching = (async () => {
    while (!over.signal.aborted) {
      const list = JSON.parse(await engineSays('/containers/json?all=1')) as { Id: string }[];
      for (const { Id } of list) seen.push(await engineSays(`/containers/${Id}/json`));
      await sleep(200);
    }
  })();
  try {
    return { result: await work, seen };
  } finally {
    over.abort();
    await watching;
  }
}

const digest = hash('sha256', `${value}\n`, 'hex');
const looksAtIt = `
set -eu
stat -c 'file %a %u:%g %s' /run/secrets/TOKEN
stat -c 'place %a %u:%g' /run/secrets
sha256sum < /run/secrets/TOKEN
ls -a /run/secrets | tr '\\n' ' '; echo
grep ' /run/secrets ' /proc/mounts
sleep 2
`;
const showsIt = `
set -eu
t=/run/secrets/TOKEN
cat $t; cat $t >&2
base64 $t; base64 -w0 < $t; echo "user:$(cat $t)" | base64; od -An -tx1 -v $t | tr -d ' \\n'; echo
node -e 'const t = require("fs").readFileSync("/run/secrets/TOKEN", "utf8").trim();
console.log(encodeURIComponent(t), JSON.stringify({ t }), Buffer.from(t).toString("hex").toUpperCase())'
node -e 'const t = require("fs").readFileSync("/run/secrets/TOKEN", "utf8").trim(); let i = 0;
const next = () => { if (i < t.length) { process.stdout.write(t[i++]); setTimeout(next, 15); } else console.log(" end"); };
next()'
`;

test('a secret is a file of the task alone, and in nothing that the engine shows', async () => {
  const work = run([{ id: 'use', secrets: ['TOKEN'], script: looksAtIt }]);
  const { result, seen } = await inspectedWhile(work);
  expect(result.output).toContain(`file 400 1000:1000 ${value.length + 1}\n`);
  expect(result.output).toContain('place 700 1000:1000\n');
  expect(result.output).toContain(digest);
  expect(result.output).toContain('. .. TOKEN \n');
  expect(result.output).toMatch(/tmpfs rw,(?=\S*nosuid)(?=\S*nodev)(?=\S*noexec)\S*mode=700/);
  expect(seen.filter((text) => text.includes('/run/secrets')).length).toBeGreaterThan(0);
  expect(seen.filter((text) => spellings.some((one) => text.includes(one.toString())))).toEqual([]);
  expect(result.code).toBe(0);
});

test('no variable, argument or process of the task holds a secret before it reads it', async () => {
  const script = `cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | sed 's/^/:/'; find /tmp /home /workspace -type f`;
  const { code, output, records } = await run([{ id: 'use', secrets: ['TOKEN'], script }]);
  expect(code).toBe(0);
  expect(output).toContain(':PATH=');
  // A mark would mean that something was there to be masked.
  expect(output).not.toContain('***');
  expect(records.map(({ type }) => type)).not.toContain('secret.masked');
});

test('whatever a task prints, in no spelling and no rhythm does a secret get out of it', async () => {
  const { code, stdout, stderr, output, records, reports } = await run([
    { id: 'use', secrets: ['TOKEN'], script: showsIt },
  ]);
  expect(code).toBe(0);
  expect(output).toContain('***\n');
  expect(output).toContain('*** end\n');
  const said = [stdout, stderr, output, daemon.output].join('\n');
  expect(spellings.filter((spelling) => said.includes(spelling.toString()))).toEqual([]);
  expect(leaks(daemon.stateDir, reports)).toEqual([]);
  const types = records.map(({ type }) => type);
  expect(types.indexOf('secret.granted')).toBeGreaterThan(types.indexOf('policy.decided'));
  expect(types.indexOf('secret.granted')).toBeLessThan(types.indexOf('container.exited'));
  const granted = records.find(({ type }) => type === 'secret.granted');
  expect(granted?.data).toEqual({ attempt: 1, names: ['TOKEN'] });
  expect(records.find(({ type }) => type === 'secret.masked')?.data['times']).toBeGreaterThan(8);
});

test('a secret that was left in the workspace is masked where another task prints it', async () => {
  const { output, view } = await run([
    { id: 'use', secrets: ['TOKEN'], script: 'cp /run/secrets/TOKEN copy; chmod 644 copy' },
    { id: 'after', deps: ['use'], script: 'ls /run/secrets; cat copy; base64 copy' },
  ]);
  expect(view.tasks.map(({ state }) => state)).toEqual(['succeeded', 'succeeded']);
  expect(output).toContain('***');
  expect(spellings.filter((spelling) => output.includes(spelling.toString()))).toEqual([]);
});

test('an output with a secret in it is rejected, and its task fails', async () => {
  const { code, view, records } = await run([
    {
      id: 'use',
      secrets: ['TOKEN'],
      script: 'mkdir dist; base64 /run/secrets/TOKEN > dist/bundle.js',
      outputs: [{ name: 'dist', path: 'dist' }],
    },
  ]);
  expect([code, view.tasks[0]?.state]).toEqual([2, 'failed']);
  expect(view.tasks[0]?.reason).toContain('holds a secret');
  expect(records.map(({ type }) => type)).toContain('artifact.rejected');
});

test('a plan that names a secret for a task that may not have it never runs', async () => {
  const { code, stdout, stderr, records } = await run([
    { id: 'other', secrets: ['TOKEN'], script: 'cat /run/secrets/TOKEN' },
  ]);
  expect(code).toBe(4);
  expect(stdout + stderr).toContain('does not grant TOKEN');
  expect(records.map(({ type }) => type)).not.toContain('secret.granted');
});

test('a secret that is granted and not there refuses the run by name', async () => {
  await daemon.cli(['secret', 'rm', 'TOKEN']);
  try {
    const { code, stdout, stderr } = await run([{ id: 'use', secrets: ['TOKEN'], script: 'true' }]);
    expect(code).toBe(1);
    expect(stdout + stderr).toContain('There is no secret TOKEN');
  } finally {
    await daemon.cli(['secret', 'set', 'TOKEN'], { input: `${value}\n` });
  }
});

test('after all of it the log verifies and tells who set and removed which secret', async () => {
  const verified = await daemon.cli(['audit', 'verify']);
  expect(verified.code).toBe(0);
  const listed = await daemon.cli(['audit', 'list', '--type', 'secret.set', '--json']);
  expect(listed.stdout).toContain('TOKEN');
  expect(listed.stdout).not.toContain(value);
});
