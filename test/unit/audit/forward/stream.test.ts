import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createSecure } from 'node:tls';
import koffi from 'koffi';
import { expect, test } from 'vitest';
import { formats } from '#daemon/audit/export/formats.ts';
import { counted } from '#daemon/audit/export/syslog.ts';
import type { Batch } from '#daemon/audit/forward/target.ts';
import { DatagramTarget, openDatagramSockets } from '#daemon/audit/forward/targets/datagram.ts';
import { StreamTarget, type StreamOptions } from '#daemon/audit/forward/targets/stream.ts';
import { openUnacknowledged } from '#daemon/audit/forward/targets/unacknowledged.ts';
import { UnixTarget } from '#daemon/audit/forward/targets/unix.ts';
import { parseSyslog, uncount } from '#test/support/collectors.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { noise, testLog } from '../fixture.ts';
import { certificateFor } from './certificates.ts';
import { eventually, folder, forward } from './receivers.ts';

const never = new AbortController().signal;
const upTo = (end: number) => Array.from({ length: end }, (_, i) => i);
const batchOf = (from: number, texts: string[]): Batch => ({
  from,
  to: from + texts.length,
  texts,
  bytes: 0,
});

type Collector = AsyncDisposable & {
  port: number;
  received: Buffer[];
  connections: Socket[];
  server: Server;
};

async function collector(
  onData: (bytes: Buffer, socket: Socket) => void = () => {},
  make: (listener: (socket: Socket) => void) => Server = createServer,
  at: { path?: string } = {},
): Promise<Collector> {
  const received: Buffer[] = [];
  const connections: Socket[] = [];
  const server = make((socket) => {
    connections.push(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes: Buffer) => {
      received.push(bytes);
      onData(bytes, socket);
    });
  });
  const where = at.path === undefined ? { port: 0, host: '127.0.0.1' } : { path: at.path };
  await new Promise<void>((resolve) => server.listen(where, resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    received,
    connections,
    server,
    async [Symbol.asyncDispose]() {
      for (const socket of connections) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function streamTo(remote: StreamOptions['remote'], more: Partial<StreamOptions> = {}) {
  const unacknowledged = await openUnacknowledged();
  const target = new StreamTarget({
    remote,
    frame: counted,
    timeoutMs: 2_000,
    settleMs: 0,
    now: () => Date.now(),
    unacknowledged,
    ...more,
  });
  return { target, [Symbol.asyncDispose]: () => target.close() };
}

const local = (port: number) => ({ host: '127.0.0.1', port });
const messages = (received: Buffer[]) => uncount(Buffer.concat(received)).messages;

test('a receiver that reads nothing is given up in time, and nothing counts as arrived', async () => {
  await using at = await collector();
  at.server.on('connection', (socket: Socket) => socket.pause());
  await using it = await streamTo(local(at.port), { timeoutMs: 200 });
  const large = batchOf(
    0,
    upTo(64).map(() => 'x'.repeat(1024 * 1024)),
  );
  await expect(it.target.send(large, never)).rejects.toThrow('in time');
  expect(it.target.settled()).toBeUndefined();
});

test('what was sent counts only after the connection outlived it', async () => {
  await using at = await collector();
  let now = 0;
  await using it = await streamTo(local(at.port), { settleMs: 100, now: () => now });
  await it.target.send(batchOf(0, ['a', 'b']), never);
  await eventually(() => messages(at.received).length === 2);
  expect(it.target.settled()).toBeUndefined();
  now = 99;
  expect(it.target.settled()).toBeUndefined();
  now = 100;
  expect(it.target.settled()).toBe(2);
});

test('a connection that breaks before that takes everything back', async () => {
  await using at = await collector((_bytes, socket) => socket.resetAndDestroy());
  await using it = await streamTo(local(at.port), { settleMs: 60_000 });
  await it.target.send(batchOf(0, ['a']), never);
  await eventually(() => {
    try {
      it.target.settled();
      return false;
    } catch {
      return true;
    }
  });
  expect(it.target.settled()).toBeUndefined();
  await it.target.send(batchOf(0, ['a']), never);
  await eventually(() => messages(at.received).length === 2);
});

test('a receiver that closes in the middle of frames loses nothing in the end', async () => {
  await using it = await testLog();
  using dir = folder();
  let left = 4;
  await using at = await collector((_bytes, socket) => {
    if (left-- > 0) socket.resetAndDestroy();
  });
  await using to = await streamTo(local(at.port), { settleMs: 30 });
  const about = { origin: 'o', host: 'box', version: '0' };
  const options = { dir: dir.path, format: formats.syslog, about };
  await using started = await forward(it.log, to.target, options);
  for (let i = 0; i < 60; i += 1) await it.log.append(noise(`${i}`));
  await eventually(async () => (await started.forwarder.status()).lag === 0);
  // Each connection carries whole frames, and a part of one where it was broken off.
  const seen = new Set(
    at.received.flatMap((bytes) =>
      uncount(bytes).messages.map(
        (text) => (JSON.parse(parseSyslog(text).message) as { seq: number }).seq,
      ),
    ),
  );
  expect([...seen].toSorted((a, b) => a - b)).toEqual(upTo(it.log.size));
});

test('a receiver that hangs up while nothing is on its way is called again', async () => {
  await using at = await collector();
  await using it = await streamTo(local(at.port));
  await it.target.send(batchOf(0, ['a']), never);
  await eventually(() => it.target.settled() === 1);
  at.connections[0]?.end();
  await eventually(() => at.connections[0]?.destroyed === true);
  await it.target.send(batchOf(1, ['b']), never);
  await eventually(() => messages(at.received).length === 2);
  expect(at.connections).toHaveLength(2);
});

test('a polite end counts what was read before it', async () => {
  await using at = await collector();
  const { target } = await streamTo(local(at.port), { settleMs: 60_000 });
  await target.send(batchOf(5, ['a', 'b', 'c']), never);
  await target.close();
  expect(target.settled()).toBe(8);
  expect(messages(at.received)).toEqual(['a', 'b', 'c']);
});

test('TLS: only a receiver with the right certificate gets anything', async () => {
  await using dir = await tempDir();
  const good = certificateFor(dir.path, '127.0.0.1');
  const other = certificateFor(dir.path, 'elsewhere.example');
  const secure = (listener: (socket: Socket) => void) =>
    createSecure({ cert: good.cert, key: good.key }, listener);
  await using at = await collector(undefined, secure);
  for (const ca of [undefined, other.certFile]) {
    await using it = await streamTo({ ...local(at.port), tls: { ca } });
    await expect(it.target.send(batchOf(0, ['secret']), never)).rejects.toThrow('certificate');
  }
  expect(at.received).toEqual([]);
  await using it = await streamTo({ ...local(at.port), tls: { ca: good.certFile } });
  await it.target.send(batchOf(0, ['a', 'b']), never);
  await eventually(() => messages(at.received).length === 2);
  await eventually(() => it.target.settled() === 2);
});

test('nobody there is an error, and somebody there later is well', async () => {
  await using dir = await tempDir();
  const path = join(dir.path, 'log');
  await using it = await streamTo({ path });
  await expect(it.target.send(batchOf(0, ['a']), never)).rejects.toMatchObject({ code: 'ENOENT' });
  await using at = await collector(undefined, undefined, { path });
  await it.target.send(batchOf(0, ['a']), never);
  await eventually(() => messages(at.received).length === 1);
});

test('a socket that takes datagrams gets a message each, and one that is full is waited for', async () => {
  await using dir = await tempDir();
  const path = join(dir.path, 'log');
  using receiver = datagrams(path);
  const sockets = await openDatagramSockets();
  const target = new UnixTarget({
    stream: () =>
      new StreamTarget({
        remote: { path },
        frame: counted,
        timeoutMs: 1_000,
        settleMs: 0,
        now: () => 0,
        unacknowledged: () => 0,
      }),
    datagram: () => Promise.resolve(new DatagramTarget({ path, sockets, timeoutMs: 2_000 })),
  });
  const texts = upTo(200).map((i) => `message ${i}`);
  const sending = target.send(batchOf(0, texts), never);
  const got: string[] = [];
  while (got.length < texts.length) {
    const one = receiver.read();
    if (one === undefined) await sleep(1);
    else got.push(one);
  }
  await sending;
  expect(got).toEqual(texts);
  expect(target.settled()).toBe(200);
  const full = new DatagramTarget({ path, sockets, timeoutMs: 100 });
  await expect(full.send(batchOf(0, texts), never)).rejects.toThrow('no room');
  await full.close();
  await target.close();
});

/** The other side of `/dev/log`, through the C library. */
function datagrams(path: string): Disposable & { read(): string | undefined } {
  const libc = koffi.load('libc.so.6');
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const bind = libc.func('int bind(int fd, const uint8_t *address, uint32_t length)');
  const recv = libc.func('long recv(int fd, _Out_ uint8_t *bytes, size_t length, int flags)');
  const close = libc.func('int close(int fd)');
  const fd = Number(socket(1, 2, 0));
  const address = Buffer.concat([Buffer.from([1, 0]), Buffer.from(path), Buffer.from([0])]);
  if (bind(fd, address, address.length) !== 0) throw new Error('bind failed');
  return {
    read: () => {
      const bytes = Buffer.alloc(65_536);
      const length = Number(recv(fd, bytes, bytes.length, 0x40));
      return length < 0 ? undefined : bytes.toString('utf8', 0, length);
    },
    [Symbol.dispose]: () => void close(fd),
  };
}
