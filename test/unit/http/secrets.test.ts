import type { IncomingMessage } from 'node:http';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { secretRoutes } from '#daemon/http/routes/secrets.ts';
import type { RouteDeps } from '#daemon/http/routes/deps.ts';
import { openSecretStore } from '#daemon/secrets/store.ts';
import { MemoryLog } from '#test/support/memory-log.ts';
import { tempDir } from '#test/support/temp-dir.ts';

async function opened() {
  const temp = await tempDir();
  const log = new MemoryLog();
  const directory = join(temp.path, 'secrets');
  const uid = process.getuid?.() ?? 0;
  const secrets = await openSecretStore({ log, directory, uid, isForeign: false });
  const routes = secretRoutes({ runsDeps: { secrets } } as unknown as RouteDeps);
  const actor = { kind: 'user', auth: 'peer', uid: 1000 } as const;
  const call = (name: string, body: Buffer = Buffer.alloc(0), declared?: number) => {
    const headers = declared === undefined ? {} : { 'content-length': String(declared) };
    const incoming = Object.assign(Readable.from([body]), {
      headers,
    }) as unknown as IncomingMessage;
    return { param: () => name, actor, incoming } as never;
  };
  return { temp, log, directory, routes, call };
}

const value = Buffer.from([0, 0xff, ...Buffer.from('a-value-of-a-secret')]);

test('a body that is too large is refused by its length, and by its bytes where it lies', async () => {
  const { temp, log, directory, routes, call } = await opened();
  await using _temp = temp;
  const code = 'request.too_large';
  const large = Buffer.alloc(64 * 1024 + 1, 0x61);
  await expect(routes.secretSet(call('S', value, large.length))).rejects.toMatchObject({ code });
  await expect(routes.secretSet(call('S', large))).rejects.toMatchObject({ code });
  await expect(routes.secretSet(call('../S', value))).rejects.toMatchObject({
    code: 'secret.invalid',
  });
  expect([readdirSync(directory), log.entries]).toEqual([[], []]);
});

test('no answer holds a value', async () => {
  const { temp, routes, call } = await opened();
  await using _temp = temp;
  const answers = [
    await routes.secretSet(call('S', value)),
    await routes.secretList(call('')),
    await routes.secretRemove(call('S')),
  ];
  expect(answers).toMatchObject([
    { name: 'S', bytes: value.length },
    { writable: true },
    { name: 'S' },
  ]);
  expect(JSON.stringify(answers)).not.toContain('a-value');
});
