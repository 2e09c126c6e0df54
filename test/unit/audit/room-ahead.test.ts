import { execFileSync } from 'node:child_process';
import { closeSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { nodeDisk } from '#daemon/audit/disk.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const MiB = 1024 ** 2;

/** A small disk of its own, for who may mount one. */
async function smallDisk() {
  const dir = await tempDir();
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', dir.path]);
  return {
    path: dir.path,
    [Symbol.asyncDispose]: async () => {
      execFileSync('umount', ['--lazy', dir.path]);
      await dir[Symbol.asyncDispose]();
    },
  };
}

function fill(dir: string): void {
  const fd = openSync(join(dir, 'hog'), 'w');
  try {
    for (;;) writeSync(fd, Buffer.alloc(4096, 1));
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('ENOSPC');
  } finally {
    closeSync(fd);
  }
}

test.skipIf(process.getuid?.() !== 0)(
  'a segment takes records on a disk that is full to the last block',
  async () => {
    await using disk = await smallDisk();
    const path = join(disk.path, 'segment');
    const file = await nodeDisk.create(path);
    fill(disk.path);
    for (let i = 0; i < 1000; i += 1) await file.append(Buffer.alloc(2048, 97));
    await file.datasync();
    expect(statSync(path).size).toBe(1000 * 2048);
    await file.close();
  },
);

test('room that is held does not show in the size, and is given back', async () => {
  await using dir = await tempDir();
  const path = join(dir.path, 'segment');
  const file = await nodeDisk.create(path);
  await file.append(Buffer.from('{}\n'));
  expect(statSync(path).size).toBe(3);
  await file.close();
  expect(statSync(path).size).toBe(3);
  expect(statSync(path).blocks * 512).toBeLessThan(MiB);
});
