import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { endpoints, Problem } from '#contract/api.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Routes } from '#daemon/http/app.ts';
import { openApi } from '#daemon/http/openapi.ts';
import { serve, type Listening } from '#daemon/http/server.ts';
import { listenOn } from '#daemon/http/socket.ts';
import { openLog } from '#daemon/audit/log.ts';
import type { Log } from '#daemon/audit/types.ts';
import { edgeDeps } from '#test/support/edge.ts';

let dir: string;
let log: Log;
let server: Listening;
let socket: string;

/** Only the routes that these tests call; the others answer with nothing. */
const routes = new Proxy(
  {
    health: () => Promise.resolve({ ok: true }),
    runShow: () =>
      Promise.reject(new OrchestraError('run.unknown', 'No such run', { hint: 'look' })),
    runList: () => Promise.reject(new Error('secret of the inside')),
    runCancel: ({ body }: { body: { reason: string } }) => Promise.resolve({ id: body.reason }),
  } as unknown as Routes,
  { get: (known, name) => Reflect.get(known, name) ?? (() => Promise.resolve({})) },
);

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'orc-edge-'));
  socket = join(dir, 'run', 'api.sock');
  log = await openLog({ dir: join(dir, 'audit'), version: '0', origin: 'test' });
  server = await serve(await edgeDeps({ log }), routes, { socket, isPassed: false });
});

afterEach(async () => {
  await server.close(100);
  await log.close();
  await rm(dir, { recursive: true, force: true });
});

type Answer = { status: number; type: string; body: string };

function ask(method: string, path: string, body?: string, headers = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: socket, method, path, headers }, (answer) => {
      let text = '';
      answer.on('data', (part) => (text += String(part)));
      answer.on('end', () => {
        const type = String(answer.headers['content-type']);
        resolve({ status: answer.statusCode ?? 0, type, body: text });
      });
    });
    call.on('error', reject);
    call.end(body);
  });
}

async function recorded(type: string) {
  const found = [];
  for await (const { record } of log.read()) if (record.type === type) found.push(record);
  return found;
}

const cancel = '/v1/runs/r-0000000000/cancel';

test('an error is a problem document with code, exit code and hint', async () => {
  const { status, type, body } = await ask('GET', '/v1/runs/r-x');
  expect([status, type]).toEqual([404, 'application/problem+json']);
  expect(Problem.parse(JSON.parse(body))).toMatchObject({
    code: 'run.unknown',
    exit_code: 1,
    hint: 'look',
  });
});

test('what went wrong inside stays inside', async () => {
  const { status, body } = await ask('GET', '/v1/runs');
  expect(status).toBe(500);
  expect(body).not.toContain('secret');
  expect(JSON.parse(body)).toMatchObject({ code: 'internal.bug', exit_code: 70 });
});

test('that something of ours broke is on record before the caller hears of it', async () => {
  await ask('GET', '/v1/runs');
  expect(await recorded('daemon.error')).toMatchObject([
    { outcome: 'failed', sev: 'alert', data: { code: 'internal.bug', what: 'GET /v1/runs' } },
  ]);
});

test.each([
  ['half a JSON document', '{"reason":', 400],
  ['JSON that is 100,000 levels deep', '['.repeat(100_000) + ']'.repeat(100_000), 400],
  ['a key named __proto__', '{"__proto__":{"reason":"x"}}', 400],
  ['an unknown key', '{"reasno":"x"}', 400],
  ['a value of another type', '{"reason":5}', 400],
  ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22]).toString('latin1'), 400],
])('a body of %s is refused and the refusal is recorded', async (_what, body, status) => {
  const answer = await ask('POST', cancel, body);
  expect(answer.status).toBe(status);
  expect(JSON.parse(answer.body)).toMatchObject({ code: 'request.invalid', exit_code: 1 });
  expect(await recorded('api.rejected')).toHaveLength(1);
});

test('a body that says it has 100 MiB is refused before it is sent', async () => {
  const { status, body } = await ask('POST', cancel, '{}', {
    'content-length': String(100 * 1024 * 1024),
  });
  expect(status).toBe(413);
  expect(JSON.parse(body)).toMatchObject({ code: 'request.too_large' });
});

test('a body that grows beyond the limit without saying so is cut off', async () => {
  const status = await new Promise<number>((resolve, reject) => {
    const call = request({ socketPath: socket, method: 'POST', path: cancel }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
      call.destroy();
    });
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') reject(error);
    });
    const block = Buffer.alloc(1024 * 1024, ' ');
    const push = () => {
      if (!call.destroyed) call.write(block, () => push());
    };
    push();
  });
  expect(status).toBe(413);
});

test('a caller who leaves in the middle of a body is no bug of the daemon’s', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const caller = connect(socket, () => {
    caller.write(`POST ${cancel} HTTP/1.1\r\nhost: o\r\ncontent-length: 10\r\n\r\n{`);
    setTimeout(() => caller.destroy(), 50);
  });
  caller.on('close', () => resolve());
  await promise;
  await expect.poll(async () => recorded('api.rejected')).toHaveLength(1);
  expect(await recorded('api.rejected')).toMatchObject([{ data: { code: 'request.invalid' } }]);
  expect(await recorded('daemon.error')).toEqual([]);
});

test('an unknown route is refused and recorded with its caller', async () => {
  expect((await ask('GET', '/v1/nothing/%1b[2J')).status).toBe(404);
  const [record] = await recorded('api.rejected');
  expect(record).toMatchObject({ actor: { auth: 'peer', uid: process.getuid?.() } });
});

test('the kernel names the caller of the first call of a connection that changes something', async () => {
  await ask('GET', '/healthz');
  expect(await recorded('auth.succeeded')).toEqual([]);
  await ask('POST', cancel, '{"reason":"enough"}');
  expect(await recorded('auth.succeeded')).toMatchObject([
    { actor: { kind: 'user', auth: 'peer', uid: process.getuid?.(), pid: process.pid } },
  ]);
});

test('headers beyond 16 KiB are refused', async () => {
  const { status } = await ask('GET', '/healthz', undefined, { 'x-long': 'x'.repeat(20_000) });
  expect(status).toBe(431);
});

test('the socket is for owner and group only, in a directory that others cannot write to', async () => {
  expect((await stat(socket)).mode & 0o777).toBe(0o660);
  expect((await stat(join(dir, 'run'))).mode & 0o002).toBe(0);
});

test('a socket in a directory that everybody may write to is refused', async () => {
  const open = await mkdtemp(join(dir, 'open-'));
  await chmod(open, 0o777);
  await expect(listenOn(createServer(), join(open, 'x.sock'))).rejects.toMatchObject({
    code: 'config.invalid',
  });
});

test('a socket that answers, and a file that is no socket, are left alone', async () => {
  await expect(listenOn(createServer(), socket)).rejects.toThrow('Another daemon answers');
  const file = join(dir, 'file');
  await writeFile(file, 'mine');
  await expect(listenOn(createServer(), file)).rejects.toThrow('is not a socket');
  expect((await ask('GET', '/healthz')).status).toBe(200);
});

test('a path that the kernel cannot take is refused with the way out', async () => {
  const long = join(dir, 'x'.repeat(120));
  await expect(listenOn(createServer(), long)).rejects.toMatchObject({ code: 'config.invalid' });
});

test('the description names every route of the table', () => {
  const { paths } = openApi('0') as { paths: Record<string, Record<string, unknown>> };
  const described = Object.entries(paths).flatMap(([path, verbs]) =>
    Object.keys(verbs).map((verb) => `${verb.toUpperCase()} ${path}`),
  );
  const expected = Object.values(endpoints).map(
    (row) => `${row.method} ${row.path.replaceAll(/:(\w+)/g, '{$1}')}`,
  );
  expect(described.toSorted()).toEqual(expected.toSorted());
});
