import { execFileSync } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FileTarget } from '#daemon/audit/forward/targets/file.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { noise, testLog } from '../fixture.ts';
import { eventually, folder, forward, numbersIn } from './receivers.ts';

// Only root can mount; where it may not (in a container without leave), this cannot be tried.
test.skipIf(!canMount())(
  'a disk that is full keeps whole lines, and gets the rest once there is room',
  async () => {
    await using it = await testLog();
    await using dir = await tempDir();
    using place = folder();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir.path]);
    try {
      await writeFile(join(dir.path, 'ballast'), Buffer.alloc(40 * 1024));
      const path = join(dir.path, 'log');
      const target = new FileTarget({ path, lineEnd: '\n' });
      await using started = await forward(it.log, target, { dir: place.path, wait: () => 300 });
      const { forwarder } = started;
      for (let i = 0; i < 60; i += 1) await it.log.append(noise('x'.repeat(400)));
      await eventually(async () => (await forwarder.status()).error !== undefined);
      const { error, next_seq: next } = await forwarder.status();
      expect(error).toContain('ENOSPC');
      const lines = (await readFile(path, 'utf8')).split('\n');
      expect(lines.pop()).toBe('');
      expect(numbersIn({ texts: lines })).toEqual(Array.from({ length: next }, (_, i) => i));
      await rm(join(dir.path, 'ballast'));
      await eventually(async () => (await forwarder.status()).lag === 0);
      await forwarder.close();
      const all = (await readFile(path, 'utf8')).trimEnd().split('\n');
      expect(numbersIn({ texts: all })).toEqual(Array.from({ length: it.log.size }, (_, i) => i));
    } finally {
      execFileSync('umount', ['-l', dir.path]);
    }
  },
);

function canMount(): boolean {
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
