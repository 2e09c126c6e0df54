import { execFileSync, spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verifyLog } from '#verifier/verify.ts';
import { reopen, tempDir } from '#test/unit/audit/fixture.ts';

const writer = join(import.meta.dirname, '../unit/audit/writer-child.ts');

test('nothing that was acknowledged is lost when the writer is killed', async () => {
  await using temp = await tempDir();
  const acknowledged = new Map<number, string>();
  for (let round = 0; round < 20; round += 1) {
    const child = spawn(process.execPath, [writer, temp.path], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_COMPILE_CACHE: join(temp.path, 'cache') },
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.length > 2_000 + round * 1_500) child.kill('SIGKILL');
    });
    await new Promise((resolve) => child.once('close', resolve));
    for (const line of text.split('\n').slice(0, -1)) {
      const space = line.indexOf(' ');
      acknowledged.set(Number(line.slice(0, space)), line.slice(space + 1));
    }
  }
  const log = await reopen(temp.path);
  const seen = new Map<number, unknown>();
  for await (const { record } of log.read()) seen.set(record.seq, record.data['what']);
  await log.close();
  expect(acknowledged.size).toBeGreaterThan(20);
  for (const [seq, what] of acknowledged) expect(seen.get(seq)).toBe(what);
  expect((await verifyLog(temp.path)).exit).toBe(0);
}, 120_000);

// A disk of its own needs the right to mount.
const canMount = (() => {
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

test.skipIf(!canMount).each([
  ['64k', 10],
  ['1m', 100],
])(
  'a disk of %s that is full stops the writer, and what it acknowledged is there',
  async (size, least) => {
    await using temp = await tempDir();
    const script = `mount -t tmpfs -o size=$5 tmpfs "$1" && "$2" "$3" "$1" ; cp -r "$1" "$4"`;
    const child = writer;
    const copy = `${temp.path}-copy`;
    let said = '';
    try {
      const args = ['-m', 'sh', '-c', script, 'sh', temp.path, process.execPath, child, copy, size];
      said = execFileSync('unshare', args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
      const acknowledged = said.split('\n').slice(0, -1);
      expect(acknowledged.length).toBeGreaterThan(least);
      const log = await reopen(copy);
      const seen = new Map<number, unknown>();
      for await (const { record } of log.read()) seen.set(record.seq, record.data['what']);
      await log.close();
      for (const line of acknowledged) {
        const space = line.indexOf(' ');
        expect(seen.get(Number(line.slice(0, space)))).toBe(line.slice(space + 1));
      }
      expect((await verifyLog(copy)).exit).toBe(0);
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  },
);
