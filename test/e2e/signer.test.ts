import { readdirSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { TestDaemon } from '#test/support/daemon.ts';
import { parseVkey, signedBy } from '#verifier/tlog/note.ts';
import { parseSignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { verifyLog } from '#verifier/verify.ts';

type Keys = { keys: { epoch: number; vkey: string; final?: string }[] };

async function keysOf(daemon: TestDaemon): Promise<Keys['keys']> {
  const { stdout } = await daemon.cli(['audit', 'keys', 'list', '--json']);
  return (JSON.parse(stdout) as Keys).keys;
}

function newestOf(daemon: TestDaemon) {
  const note = parseSignedCheckpoint(readFileSync(join(daemon.stateDir, 'audit', 'checkpoint')));
  if (note === undefined) throw new Error('there is no checkpoint');
  return note;
}

/** Everything is signed by the key of its epoch; nothing of the log is in doubt. */
async function assertSigned(daemon: TestDaemon): Promise<void> {
  const keys = await keysOf(daemon);
  expect(await daemon.stop()).toBe(0);
  const newest = newestOf(daemon);
  const key = parseVkey(keys.at(-1)?.vkey ?? '');
  expect(key !== undefined && signedBy(newest.note, key).signed).toBe(true);
  const verdict = await verifyLog(join(daemon.stateDir, 'audit'));
  expect(verdict.findings.map(({ reason }) => reason)).toEqual(['unpinned']);
  expect(newest.size).toBe(verdict.records);
  const epoch = keys.at(-1)?.epoch ?? 0;
  expect(readdirSync(join(daemon.stateDir, 'signer', 'keys')).toSorted()).toEqual([
    `${epoch}.pem`,
    'witness.pem',
  ]);
}

/** Each reading of the log is a record. */
async function addRecords(daemon: TestDaemon, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const gone = await new Promise<boolean>((resolve) => {
      const call = request({
        socketPath: daemon.socket,
        path: '/v1/audit/records?limit=1',
        headers: { host: 'orchestra' },
      });
      call.on('response', (response) => {
        response.resume().on('end', () => resolve(false));
        response.on('error', () => resolve(true));
      });
      call.on('error', () => resolve(true));
      call.end();
    });
    if (gone) return;
  }
}

describe('a daemon that is killed', () => {
  test('after its next key is on record goes on to it, by one signature of the old one', async () => {
    const env = { ORCHESTRA_FAILPOINTS: 'after-key-rotated' };
    await using daemon = await TestDaemon.start([], undefined, env);
    expect((await daemon.cli(['audit', 'keys', 'rotate'])).code).not.toBe(0);
    expect(await daemon.ended()).toBe('SIGKILL');
    await daemon.restart();
    const keys = await keysOf(daemon);
    expect(keys.map(({ epoch, final }) => [epoch, final !== undefined])).toEqual([
      [0, true],
      [1, false],
    ]);
    await assertSigned(daemon);
  });

  test.each(['before-tile-rename', 'after-tile-rename'])(
    'as it keeps a tile (%s) has the whole tree after its next start',
    async (name) => {
      await using daemon = await TestDaemon.start([], undefined, { ORCHESTRA_FAILPOINTS: name });
      await addRecords(daemon, 300);
      expect(await daemon.ended()).toBe('SIGKILL');
      await daemon.restart();
      const proof = await daemon.cli(['audit', 'prove', '7']);
      expect(proof).toMatchObject({ code: 0, stderr: expect.not.stringContaining('broken') });
      await assertSigned(daemon);
    },
  );
});

describe('a signer', () => {
  test('ends with its daemon, however that ends', async () => {
    await using daemon = await TestDaemon.start();
    const child = signerOf(daemon.pid);
    expect(child).toBeGreaterThan(0);
    process.kill(daemon.pid, 'SIGKILL');
    await daemon.ended();
    await expect.poll(() => signerOf(1, daemon.stateDir)).toBe(0);
  });

  test('that is killed is started again, and everything is signed', async () => {
    await using daemon = await TestDaemon.start();
    const before = signerOf(daemon.pid);
    process.kill(before, 'SIGKILL');
    await addRecords(daemon, 70);
    await expect.poll(() => newestOf(daemon).size, { timeout: 30_000 }).toBeGreaterThan(70);
    expect(signerOf(daemon.pid)).not.toBe(before);
    await assertSigned(daemon);
  });

  test('notices that the whole log was deleted: a new one is not the one that it signed', async () => {
    await using daemon = await TestDaemon.start();
    await addRecords(daemon, 5);
    expect(await daemon.stop()).toBe(0);
    await rm(join(daemon.stateDir, 'audit'), { recursive: true });
    await expect(daemon.restart()).rejects.toThrow('audit.broken');
  });
});

/** The process of a signer below this one, by what it was started with; 0 where there is none. */
function signerOf(parent: number, mention = 'signer'): number {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'latin1');
      const status = readFileSync(`/proc/${name}/stat`, 'latin1');
      const of = Number(status.slice(status.lastIndexOf(')') + 4).split(' ')[0]);
      const isSigner = /signer\/main\.ts/.test(command) && command.includes(mention);
      if (isSigner && of === parent) return Number(name);
    } catch {
      // It has ended meanwhile.
    }
  }
  return 0;
}
