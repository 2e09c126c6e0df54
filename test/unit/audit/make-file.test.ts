import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeFile } from '#daemon/audit/make-file.ts';
import { readOrMakeKey } from '#daemon/audit/own-key.ts';
import { tempDir } from './fixture.ts';

test('of many who make a file at once one does, and what is there is whole', async () => {
  await using temp = await tempDir();
  const path = join(temp.path, 'one');
  const words = Array.from({ length: 8 }, (_, n) => `${n}`.repeat(5000));
  const made = await Promise.all(words.map((text) => makeFile(path, text)));
  expect(made.filter(Boolean)).toHaveLength(1);
  expect(await readFile(path, 'utf8')).toBe(words[made.indexOf(true)]);
  expect(await readdir(temp.path)).toEqual(['one']);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('a key is the same for all who make it at once, and half of one from before is no hindrance', async () => {
  await using temp = await tempDir();
  const path = join(temp.path, 'report.key');
  await writeFile(`${path}.0a1b2c3d4e5f.new`, '-----BEGIN');
  const keys = await Promise.all(Array.from({ length: 6 }, () => readOrMakeKey(path)));
  expect(new Set(keys.map(({ id }) => id)).size).toBe(1);
});
