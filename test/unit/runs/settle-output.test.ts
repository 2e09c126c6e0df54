import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { OutputFile } from '#daemon/runs/output.ts';
import { settleOutput } from '#daemon/runs/settle-output.ts';
import { tempDir } from '#test/support/temp-dir.ts';

test('a task that never stops writing does not keep the process', async () => {
  expect(await settleOutput(() => [{ isIdle: true }, { isIdle: false }], 20)).toBe(false);
});

test('what was taken is in its file once it has come to rest, and who wrote nothing is at rest', async () => {
  await using dir = await tempDir();
  const paths = ['a', 'b', 'silent'].map((name) => join(dir.path, name));
  const files = await Promise.all(paths.map(async (path) => OutputFile.create(path)));
  const lines = Array.from({ length: 200 }, (_, at) => `line ${at}`);
  for (const file of files.slice(0, 2)) {
    for (const line of lines) void file.write(1, Buffer.from(line));
  }
  expect(files.map(({ isIdle }) => isIdle)).toEqual([false, false, true]);
  // Long enough for any disk; the way is left as soon as all is there.
  expect(await settleOutput(() => files, 20_000)).toBe(true);
  for (const path of paths.slice(0, 2)) {
    expect((await readFile(path)).toString('latin1')).toContain(lines.join(''));
  }
  for (const file of files) await file.remove();
});
