import { execFileSync } from 'node:child_process';
import { lstat, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeFileFresh } from '#cli/write-file.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const words = [Buffer.from('some '), Buffer.from('words')];

test('a pipe is written into and stays a pipe', async () => {
  await using dir = await tempDir();
  const pipe = join(dir.path, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const [text] = await Promise.all([readFile(pipe, 'utf8'), writeFileFresh(pipe, words)]);
  expect(text).toBe('some words');
  expect((await lstat(pipe)).isFIFO()).toBe(true);
});

test('a link is replaced and what it leads to stays as it was', async () => {
  await using dir = await tempDir();
  const [file, link] = ['file', 'link'].map((name) => join(dir.path, name)) as [string, string];
  await writeFile(file, 'old');
  await symlink(file, link);
  await writeFileFresh(link, words);
  expect(await readFile(file, 'utf8')).toBe('old');
  expect((await lstat(link)).isFile()).toBe(true);
});
