import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { openAttachments } from '#daemon/engine/drivers/attach.ts';
import { throughGate } from '#daemon/engine/gate.ts';

const unheard: unknown[] = [];
const hear = (reason: unknown) => void unheard.push(reason);
afterEach(() => {
  process.off('unhandledRejection', hear);
  unheard.length = 0;
});

test('a gate that never opens and that nobody waits for does not end the daemon', async () => {
  process.on('unhandledRejection', hear);
  throughGate((async function* () {})());
  await sleep(10);
  expect(unheard).toEqual([]);
});

test('an engine that hangs up after the attach does not end the daemon', async () => {
  process.on('unhandledRejection', hear);
  const dir = mkdtempSync(join(tmpdir(), 'orchestra-attach-'));
  const socketPath = join(dir, 'engine.sock');
  const server = createServer();
  server.on('upgrade', (_request, socket) => {
    socket.end('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  try {
    const { ready } = await openAttachments({ socketPath }).attach('a'.repeat(64));
    await sleep(50);
    expect(unheard).toEqual([]);
    await expect(ready).rejects.toMatchObject({ code: 'engine.unavailable' });
  } finally {
    server.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
