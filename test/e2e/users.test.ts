import { spawn } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestDaemon } from '#test/support/daemon.ts';
import { tempDir } from '#test/support/temp-dir.ts';

/** Users of this machine by number only: nobody has to be made for it. */
const [ann, bob, stranger] = [64_101, 64_102, 64_103];
const settings = `
access:
  runner: [uid:${ann}, uid:${bob}]
quotas:
  users:
    uid:${ann}: {runs_per_day: 1}
`;
const frames = `${JSON.stringify({ type: 'end', entries: 0 })}\n`;

let daemon: TestDaemon;
let flags: string[];
const open = new AsyncDisposableStack();

const reach = () => {
  for (const path of [daemon.dir, dirname(daemon.socket)]) chmodSync(path, 0o755);
  chmodSync(daemon.socket, 0o666);
};

beforeAll(async () => {
  const dir = open.use(await tempDir());
  const file = join(dir.path, 'orchestrad.yaml');
  writeFileSync(file, settings);
  flags = ['--config', file];
  daemon = open.use(await TestDaemon.start(flags));
  reach();
});
afterAll(() => open.disposeAsync());

const script = `
  const [socketPath, method, path, type, body] = process.argv.slice(1);
  const headers = { 'content-type': type };
  require('node:http').request({ socketPath, method, path, headers }, (answer) => {
    let text = '';
    answer.on('data', (part) => (text += part));
    answer.on('end', () => console.log(JSON.stringify({ status: answer.statusCode, text })));
  }).end(body || undefined);`;

/** The same daemon, asked by a process of another user. */
async function as(uid: number, method: string, path: string, body: unknown = '') {
  const isText = typeof body === 'string';
  const type = isText ? 'application/vnd.orchestra.snapshot' : 'application/json';
  const said = isText ? body : JSON.stringify(body);
  const child = spawn(process.execPath, ['-e', script, daemon.socket, method, path, type, said], {
    uid,
    gid: uid,
    cwd: '/',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const out = (await Array.fromAsync(child.stdout as AsyncIterable<Buffer>)).join('');
  const { status, text } = JSON.parse(out) as { status: number; text: string };
  return { status, json: JSON.parse(text) as Record<string, unknown> };
}

let snapshot: unknown;
let run: string;
const submission = () => ({ intent: 'try it', snapshot, exec: ['true'], workspace: 'w' });

test('a user without a role gets nowhere, and is told as whom the daemon knows him', async () => {
  const me = await as(stranger, 'GET', '/v1/whoami');
  expect(me.json).toMatchObject({ auth: 'peer', uid: stranger, roles: [] });
  for (const path of ['/v1/runs', '/v1/audit/records', '/v1/policies', '/v1/doctor']) {
    expect([path, (await as(stranger, 'GET', path)).status]).toEqual([path, 403]);
  }
  expect((await as(stranger, 'POST', '/v1/snapshots', frames)).status).toBe(403);
});

test('a runner submits a run; for another one neither it nor its workspace is there', async () => {
  const brought = await as(ann, 'POST', '/v1/snapshots', frames);
  expect(brought.status).toBe(200);
  snapshot = brought.json['digest'];
  expect(await as(bob, 'POST', '/v1/runs', submission())).toMatchObject({
    status: 404,
    json: { code: 'snapshot.unknown' },
  });
  const submitted = await as(ann, 'POST', '/v1/runs', submission());
  expect(submitted.status, JSON.stringify(submitted.json)).toBe(200);
  run = String(submitted.json['id']);
  expect((await as(ann, 'GET', `/v1/runs/${run}`)).status).toBe(200);
  for (const reference of [run, run.slice(0, 6), '@last']) {
    expect((await as(bob, 'GET', `/v1/runs/${reference}`)).status).toBe(404);
  }
  const body = { reason: 'x' };
  expect((await as(bob, 'POST', `/v1/runs/${run}/cancel`, body)).status).toBe(404);
  expect((await as(bob, 'GET', '/v1/runs')).json).toEqual({ items: [] });
});

test('a quota that is used up stays so over a restart, and so does whose the run is', async () => {
  const again = async () => as(ann, 'POST', '/v1/runs', submission());
  expect(await again()).toMatchObject({ status: 429, json: { code: 'quota.exceeded' } });
  await daemon.stop();
  await daemon.restart(flags);
  reach();
  expect(await again()).toMatchObject({ status: 429, json: { code: 'quota.exceeded' } });
  expect((await as(ann, 'GET', `/v1/runs/${run}`)).status).toBe(200);
  expect((await as(bob, 'GET', `/v1/runs/${run}`)).status).toBe(404);
});

test('all of it is on record, by number and without a name', async () => {
  const { stdout } = await daemon.cli(['audit', 'list', '-n', '500', '--json']);
  const { items } = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as {
    items: { record: { type: string; actor: object; data: object } }[];
  };
  const of = (type: string) =>
    items.flatMap(({ record }) => (record.type === type ? [record] : []));
  expect(of('access.denied')).toEqual(
    expect.arrayContaining([
      expect.objectContaining({
        actor: expect.objectContaining({ uid: stranger, roles: [] }) as object,
      }),
      expect.objectContaining({
        actor: expect.objectContaining({ uid: bob, roles: ['runner'] }) as object,
      }),
    ]),
  );
  expect(of('quota.refused')).toMatchObject([
    { data: { quota: 'runs_per_day', of: `uid:${ann}`, used: 1, allowed: 1 } },
    { data: { quota: 'runs_per_day' } },
  ]);
});

test('settings that name nobody of this machine refuse the start', async () => {
  await using dir = await tempDir();
  const file = join(dir.path, 'orchestrad.yaml');
  writeFileSync(file, 'access: {admin: [user:nobody-is-called-this]}\n');
  const started = TestDaemon.start(['--config', file]);
  await expect(started).rejects.toThrow('This machine has no user:nobody-is-called-this');
});
