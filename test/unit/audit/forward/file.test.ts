import { execFileSync } from 'node:child_process';
import { chmod, link, mkdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Batch } from '#daemon/audit/forward/target.ts';
import { FileTarget } from '#daemon/audit/forward/targets/file.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const batchOf = (...texts: string[]): Batch => ({ from: 0, to: texts.length, texts, bytes: 0 });
const targetAt = (path: string) => new FileTarget({ path, lineEnd: '\n' });

test('a link, a second name, a directory on the way that is a link and what is no file are refused', async () => {
  await using dir = await tempDir();
  const at = (name: string) => join(dir.path, name);
  await writeFile(at('shadow'), 'root:x\n');
  await symlink(at('shadow'), at('link'));
  await link(at('shadow'), at('second'));
  await mkdir(at('real'));
  execFileSync('mkfifo', [at('pipe')]);
  await symlink(at('real'), at('folder'));
  for (const path of [at('link'), at('second'), at('folder/log'), at('real'), at('pipe')]) {
    await expect(targetAt(path).send(batchOf('x')), path).rejects.toThrow();
  }
  expect(await readFile(at('shadow'), 'utf8')).toBe('root:x\n');
});

test('records are appended, readable by their owner only', async () => {
  await using dir = await tempDir();
  const path = join(dir.path, 'log');
  const target = targetAt(path);
  await target.send(batchOf('a', 'b'));
  await target.send(batchOf('c'));
  await target.close();
  const again = targetAt(path);
  await again.send(batchOf('d'));
  await again.close();
  expect(await readFile(path, 'utf8')).toBe('a\nb\nc\nd\n');
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('a file that was moved away is let go, and a new one begun', async () => {
  await using dir = await tempDir();
  const path = join(dir.path, 'log');
  const target = targetAt(path);
  await target.send(batchOf('a'));
  await rename(path, `${path}.1`);
  await target.send(batchOf('b'));
  await rename(path, `${path}.2`);
  await writeFile(path, '');
  await target.send(batchOf('c'));
  expect(await readFile(`${path}.1`, 'utf8')).toBe('a\n');
  expect(await readFile(`${path}.2`, 'utf8')).toBe('b\n');
  expect(await readFile(path, 'utf8')).toBe('c\n');
  await target.close();
});

test('half a line that somebody left becomes a line of its own', async () => {
  await using dir = await tempDir();
  const path = join(dir.path, 'log');
  await writeFile(path, 'whole\nhal');
  const target = targetAt(path);
  await target.send(batchOf('next'));
  await target.close();
  expect(await readFile(path, 'utf8')).toBe('whole\nhal\nnext\n');
});

test('a folder that is gone or takes nothing is an error, and the next time may be well', async () => {
  await using dir = await tempDir();
  const path = join(dir.path, 'there', 'log');
  const target = targetAt(path);
  await expect(target.send(batchOf('a'))).rejects.toMatchObject({ code: 'ENOENT' });
  await mkdir(join(dir.path, 'there'));
  await chmod(join(dir.path, 'there'), 0o700);
  await target.send(batchOf('a'));
  await target.close();
  expect(await readFile(path, 'utf8')).toBe('a\n');
});
