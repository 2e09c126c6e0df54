import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { Client } from '#cli/client/client.ts';
import { OrchestraError } from '#contract/errors.ts';
import { statusOf, waitForEngine } from '#daemon/waiting.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const missing = new OrchestraError('engine.unavailable', 'No engine answers', {
  hint: 'systemctl start docker',
  places: [{ message: 'unix:///x: there is no such socket' }],
});

async function waiting(find: () => Promise<unknown>) {
  const dir = await tempDir();
  const socket = join(dir.path, 'o.sock');
  const left = new AbortController();
  const said: string[] = [];
  const over = waitForEngine({
    missing,
    version: '1.2.3',
    socket,
    find,
    say: (status) => said.push(status),
    signal: left.signal,
  });
  const client = new Client(socket);
  await vi.waitFor(() => client.call('health'));
  return {
    client,
    said,
    over,
    leave: () => left.abort(),
    [Symbol.asyncDispose]: async () => {
      left.abort();
      await over;
      client.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

const never = () => Promise.reject(missing);

test('without an engine every request is refused by what is missing, with its remedy', async () => {
  await using it = await waiting(never);
  const refused = { code: 'engine.unavailable', hint: 'systemctl start docker' };
  await expect(it.client.call('runList')).rejects.toMatchObject(refused);
  const submitted = it.client.call('runCancel', { params: { id: 'r-0' }, body: {} });
  await expect(submitted).rejects.toMatchObject(refused);
  const upload = it.client.upload('secretSet', blocks(), { params: { name: 'TOKEN' } });
  await expect(upload).rejects.toMatchObject(refused);
});

async function* blocks(): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < 64; i += 1) yield Buffer.alloc(64 * 1024);
}

test('doctor and the status line name it as well', async () => {
  await using it = await waiting(never);
  const { checks } = await it.client.call('doctor');
  expect(checks).toEqual([
    {
      name: 'engine',
      status: 'problem',
      message: 'No engine answers; unix:///x: there is no such socket',
      remedy: 'systemctl start docker',
    },
  ]);
  expect(it.said[0]).toBe(statusOf(missing));
  expect((await it.client.call('version')).version).toBe('1.2.3');
});

test('it is over as soon as an engine answers, and when it is told to end', async () => {
  let isThere = false;
  await using it = await waiting(() => (isThere ? Promise.resolve() : never()));
  let isOver = false;
  void it.over.then(() => (isOver = true));
  await sleep(50);
  expect(isOver).toBe(false);
  isThere = true;
  await it.over;
  await using other = await waiting(never);
  other.leave();
  await other.over;
  await expect(other.client.call('health')).rejects.toMatchObject({ code: 'daemon.unreachable' });
});
