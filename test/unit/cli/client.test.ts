import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { Client } from '#cli/client/client.ts';
import { connectionError } from '#cli/client/errors.ts';
import { chooseHost } from '#cli/client/host.ts';
import { linesOf } from '#cli/client/lines.ts';
import { eventsOf } from '#cli/client/sse.ts';
import type { LogRecord } from '#contract/records.ts';
import { chained, daemonWithRun, FakeDaemon, recordsOf, runId } from '#test/support/fake-daemon.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const isLast = (record: LogRecord) => record.type === 'run.closed';

test('no socket, nobody behind it and no right to it are three stories with three remedies', () => {
  const stories = ['ENOENT', 'ECONNREFUSED', 'EACCES'].map((code) =>
    connectionError(Object.assign(new Error(code), { code }), 'unix:///s'),
  );
  expect(new Set(stories.map((each) => each.message)).size).toBe(3);
  expect(new Set(stories.map((each) => each.hint)).size).toBe(3);
  expect(stories.map((each) => each.facts.exit)).toEqual([5, 5, 5]);
});

test('a missing socket and a file that is no socket are unreachable', async () => {
  await using dir = await tempDir();
  const file = path.join(dir.path, 'file');
  await writeFile(file, '');
  for (const socket of [path.join(dir.path, 'none'), file]) {
    const client = new Client(socket);
    await expect(client.call('health')).rejects.toMatchObject({ code: 'daemon.unreachable' });
    client.close();
  }
});

test('a daemon that never answers is given up after the deadline', async () => {
  await using dir = await tempDir();
  const socket = path.join(dir.path, 's');
  const server = createServer(() => undefined);
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const client = new Client(socket);
  await expect(client.call('health', { timeoutMs: 50 })).rejects.toMatchObject({
    code: 'request.timeout',
  });
  client.close();
  server.close();
});

test('an error of the daemon arrives as it was thrown there', async () => {
  await using daemon = await FakeDaemon.open();
  daemon.answer('runShow', { problem: 'run.unknown', detail: 'No such run' });
  const client = new Client(daemon.socketPath);
  await expect(client.call('runShow', { params: { id: 'x' } })).rejects.toMatchObject({
    code: 'run.unknown',
    message: 'No such run',
  });
  client.close();
});

test('an answer of another shape is not taken for one, an answer that says more is', async () => {
  await using daemon = await FakeDaemon.open();
  const client = new Client(daemon.socketPath);
  daemon.answer('health', { json: { ok: true, more: 1 } });
  await expect(client.call('health')).resolves.toMatchObject({ ok: true });
  daemon.answer('health', { json: { ok: 'yes' } });
  await expect(client.call('health')).rejects.toMatchObject({ code: 'internal.bug' });
  client.close();
});

test.each(['a/b', 'ä?#', '%2e%2e', '@last'])(
  'the parameter %s stays one part of the path',
  async (id) => {
    await using daemon = await daemonWithRun();
    const client = new Client(daemon.socketPath);
    await client.call('runShow', { params: { id } });
    expect(daemon.asked.at(-1)).toMatchObject({ name: 'runShow', params: { id } });
    client.close();
  },
);

test.each(['', '.', '..'])('the parameter "%s" never becomes another path', async (id) => {
  const client = new Client('/nowhere');
  const calling = client.call('runShow', { params: { id } });
  await expect(calling).rejects.toMatchObject({ code: 'usage.invalid' });
  client.close();
});

test('events go on after a broken connection, each record once', async () => {
  await using daemon = await FakeDaemon.open();
  const records = recordsOf('succeeded', 0);
  daemon.answer('runEvents', ({ lastEventId }) => {
    const from = lastEventId === undefined ? 0 : Number(lastEventId) - 9;
    return from === 0
      ? { records: records.slice(0, 2), cut: true }
      : { records: records.slice(from) };
  });
  const client = new Client(daemon.socketPath);
  const seen: number[] = [];
  for await (const { seq } of client.events('runEvents', { params: { id: runId }, isLast })) {
    seen.push(seq);
  }
  expect(seen).toEqual([10, 11, 12, 13]);
  expect(daemon.asked.map((each) => each.lastEventId)).toEqual([undefined, '11']);
  client.close();
});

test('events of a daemon that is gone are given up after a while', async () => {
  const daemon = await FakeDaemon.open();
  daemon.answer('runEvents', {
    records: chained([{ type: 'run.submitted', data: {} }]),
    cut: true,
  });
  const client = new Client(daemon.socketPath);
  const reading = (async () => {
    for await (const _record of client.events('runEvents', {
      params: { id: runId },
      isLast,
      patienceMs: 300,
    })) {
      await daemon[Symbol.asyncDispose]();
    }
  })();
  await expect(reading).rejects.toMatchObject({ code: 'daemon.unreachable' });
  client.close();
});

test('a gap is told once, and once that it is over', async () => {
  await using daemon = await FakeDaemon.open();
  const records = recordsOf('succeeded', 0);
  let times = 0;
  daemon.answer('runEvents', ({ lastEventId }) => {
    times += 1;
    if (times === 2 || times === 3) return { problem: 'daemon.stopping' };
    return lastEventId === undefined
      ? { records: records.slice(0, 2), cut: true }
      : { records: records.slice(2) };
  });
  const client = new Client(daemon.socketPath);
  const gaps: string[] = [];
  const options = { params: { id: runId }, isLast, onGap: (gap: string) => gaps.push(gap) };
  for await (const _record of client.events('runEvents', options));
  expect(gaps).toEqual(['lost', 'back']);
  client.close();
});

test('who only reads asks the next daemon when the connection breaks; who changes something does not', async () => {
  let asked: string[] = [];
  const server = createHttpServer((request, response) => {
    asked.push(request.url ?? '');
    if (asked.length === 1) response.destroy();
    else response.writeHead(200).end('{"ok":true}');
  });
  await using dir = await tempDir();
  const socketPath = path.join(dir.path, 'x.sock');
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const client = new Client(socketPath);
  await expect(client.call('health')).resolves.toEqual({ ok: true });
  expect(asked).toHaveLength(2);
  asked = [];
  const cancelling = client.call('runCancel', { params: { id: runId }, body: {} });
  await expect(cancelling).rejects.toMatchObject({ code: 'daemon.unreachable' });
  expect(asked).toHaveLength(1);
  client.close();
  server.close();
});

test('a line without an end is refused, not collected', async () => {
  const endless = Readable.from([Buffer.alloc(600), Buffer.alloc(600)]);
  const reading = (async () => {
    for await (const _line of linesOf(endless, 1000)) expect.unreachable();
  })();
  await expect(reading).rejects.toMatchObject({ code: 'daemon.unreachable' });
});

test('lines and events are whole wherever the chunks are cut', async () => {
  const body = Buffer.from(
    'id: 7\nevent: record\ndata: {"ä":1}\n\n:beat\n\ndata: x\ndata: y\n\ndata: cut',
  );
  for (let size = 1; size < 9; size++) {
    const chunks = Array.from({ length: Math.ceil(body.length / size) }, (_, at) =>
      body.subarray(at * size, (at + 1) * size),
    );
    const events = await Array.fromAsync(eventsOf(Readable.from(chunks)));
    expect(events).toEqual([
      { id: '7', event: 'record', data: '{"ä":1}' },
      { id: '7', event: 'message', data: 'x\ny' },
    ]);
  }
});

test('the flag goes before the environment, the environment before the default', () => {
  const env = { ORCHESTRA_HOST: 'unix:///env.sock', HOME: '/home/x', XDG_RUNTIME_DIR: '/run/x' };
  expect(chooseHost('unix:///flag.sock', env).text).toBe('unix:///flag.sock');
  expect(chooseHost(undefined, env).text).toBe('unix:///env.sock');
  expect(chooseHost(undefined, { ...env, ORCHESTRA_HOST: '' }).origin).toBe('default');
});

test("the machine's daemon is asked by who has none of his own, and by nobody who has", () => {
  const env = { HOME: '/home/x', XDG_RUNTIME_DIR: '/run/x' };
  const own = chooseHost(undefined, env, () => false).text;
  const ofMachine = '/run/orchestra/orchestra.sock';
  const onMachine = (path: unknown) => path === ofMachine;
  expect(chooseHost(undefined, env, onMachine).text).toBe(`unix://${ofMachine}`);
  expect(chooseHost(undefined, env, () => true).text).toBe(own);
});

test.each(['tcp://127.0.0.1:80', 'relative.sock', 'unix://', `unix:///${'x'.repeat(120)}`])(
  'the address %s is refused',
  (host) => {
    expect(() => chooseHost(host, {})).toThrow(expect.objectContaining({ code: 'usage.invalid' }));
  },
);
