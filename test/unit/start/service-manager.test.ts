import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test, vi } from 'vitest';
import { openServiceManager, takeServiceEnv } from '#daemon/service-manager.ts';
import { bindDatagrams } from '#test/support/datagram-socket.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const quiet = () => {};
const isSocket = () => true;
const fails = (error: unknown) => {
  throw error;
};

test('a socket that was meant for another process is not taken', () => {
  const env = { LISTEN_PID: '41', LISTEN_FDS: '1', LISTEN_FDNAMES: 'api' };
  expect(takeServiceEnv(env, 42, isSocket).isSocketPassed).toBe(false);
});

test.each([
  [{ LISTEN_PID: '42', LISTEN_FDS: '2', LISTEN_FDNAMES: 'api:other' }, '2 sockets'],
  [{ LISTEN_PID: '42' }, 'no sockets'],
  [{ LISTEN_PID: '42', LISTEN_FDS: '1', LISTEN_FDNAMES: 'signer' }, 'a socket named signer'],
])('what was passed and is not one socket of the API is refused: %o', (env, what) => {
  expect(() => takeServiceEnv(env, 42, isSocket)).toThrow(`The service manager passed ${what}`);
});

test('a descriptor that is no socket is refused', () => {
  const env = { LISTEN_PID: '42', LISTEN_FDS: '1' };
  expect(() => takeServiceEnv(env, 42, () => false)).toThrow('something that is no socket');
});

test('nothing of it stays in the environment of programs that are started later', () => {
  const env = {
    NOTIFY_SOCKET: '/run/x',
    WATCHDOG_USEC: '30000000',
    WATCHDOG_PID: '42',
    LISTEN_PID: '42',
    LISTEN_FDS: '1',
    LISTEN_FDNAMES: 'api',
    PATH: '/bin',
  };
  expect(takeServiceEnv(env, 42, isSocket)).toEqual({
    notify: '/run/x',
    watchdogMs: 30_000,
    isSocketPassed: true,
  });
  expect(Object.entries(env).filter(([, value]) => value !== undefined)).toEqual([
    ['PATH', '/bin'],
  ]);
});

test.each([{ WATCHDOG_USEC: '30000000', WATCHDOG_PID: '41' }, { WATCHDOG_USEC: 'soon' }, {}])(
  'no watchdog is kept for somebody else or without a time: %o',
  (env) => {
    expect(takeServiceEnv(env, 42).watchdogMs).toBeUndefined();
  },
);

test.each(['path', 'abstract'])('readiness and the end are told on a socket (%s)', async (kind) => {
  await using dir = await tempDir();
  const notify = kind === 'path' ? join(dir.path, 'notify') : `@orchestra-test-${process.pid}`;
  using socket = bindDatagrams(notify);
  const manager = await openServiceManager({ notify, watchdogMs: undefined }, fails);
  await manager.ready('3 runs open\nSTATUS=or so');
  await manager.stopping('ends');
  expect([socket.next(), socket.next(), socket.next()]).toEqual([
    'READY=1\nSTATUS=3 runs open STATUS=or so',
    'STOPPING=1\nSTATUS=ends',
    undefined,
  ]);
});

test('that settings are read again is told with the time of now', async () => {
  await using dir = await tempDir();
  const notify = join(dir.path, 'notify');
  using socket = bindDatagrams(notify);
  const manager = await openServiceManager({ notify, watchdogMs: undefined }, fails);
  const before = process.hrtime.bigint() / 1000n;
  await manager.reloading();
  const [first, second = ''] = socket.next()?.split('\n') ?? [];
  expect(first).toBe('RELOADING=1');
  expect(BigInt(second.replace('MONOTONIC_USEC=', ''))).toBeGreaterThanOrEqual(before);
});

test('no sign of life is sent while nothing moves, and one again as soon as something does', async () => {
  await using dir = await tempDir();
  const notify = join(dir.path, 'notify');
  using socket = bindDatagrams(notify);
  const manager = await openServiceManager({ notify, watchdogMs: 30 }, fails);
  const silences: unknown[] = [];
  let isStuck = true;
  const beat = () => {
    if (isStuck) throw new Error('stuck');
    return 'well';
  };
  using watching = manager.watch(beat, (error) => silences.push(error));
  await vi.waitFor(() => expect(silences.length).toBeGreaterThan(2));
  expect(socket.next()).toBeUndefined();
  isStuck = false;
  await vi.waitFor(() => expect(socket.next()).toBe('WATCHDOG=1\nSTATUS=well'));
  watching[Symbol.dispose]();
  while (socket.next() !== undefined);
  await sleep(60);
  expect(socket.next()).toBeUndefined();
});

test('a manager whose queue is full is told a moment later', async () => {
  const sent: string[] = [];
  const answers = [false, false, true];
  const open = () =>
    Promise.resolve({
      connect: () => 7,
      send: (_fd: number, bytes: Buffer) => {
        sent.push(bytes.toString());
        return answers.shift() ?? true;
      },
      close: quiet,
    });
  const manager = await openServiceManager({ notify: '/x', watchdogMs: undefined }, fails, open);
  await manager.ready('ready');
  expect(sent).toEqual(Array.from({ length: 3 }, () => 'READY=1\nSTATUS=ready'));
});

test.each(['relative/path', '/nowhere/at/all', 'vsock:2:1234'])(
  'a manager that cannot be reached stops nobody: %s',
  async (notify) => {
    const troubles: unknown[] = [];
    const manager = await openServiceManager({ notify, watchdogMs: 10 }, (e) => troubles.push(e));
    await manager.ready('ready');
    await manager.stopping('over');
    expect(troubles).toHaveLength(1);
  },
);
