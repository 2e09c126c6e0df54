import {
  closeSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { measure } from '#daemon/workspace/measure.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const filesMax = 1000;
const MiB = 1024 ** 2;

test('bytes are those that are allocated: holes cost nothing, a second name costs nothing', async () => {
  await using dir = await tempDir();
  writeFileSync(join(dir.path, 'full'), Buffer.alloc(MiB, 1));
  linkSync(join(dir.path, 'full'), join(dir.path, 'again'));
  const sparse = openSync(join(dir.path, 'sparse'), 'w');
  ftruncateSync(sparse, 1024 * MiB);
  closeSync(sparse);
  const use = measure({ dirs: [dir.path], filesMax });
  expect(use?.files).toBe(2);
  expect(use?.bytes).toBeGreaterThanOrEqual(MiB);
  expect(use?.bytes).toBeLessThan(2 * MiB);
});

test('no link is followed, and what is not there is empty', async () => {
  await using dir = await tempDir();
  await using outside = await tempDir();
  writeFileSync(join(outside.path, 'big'), Buffer.alloc(MiB, 1));
  symlinkSync(outside.path, join(dir.path, 'link'));
  symlinkSync('/proc/self/root', join(dir.path, 'root'));
  expect(measure({ dirs: [dir.path, join(dir.path, 'gone')], filesMax })).toMatchObject({
    files: 2,
  });
  expect(measure({ dirs: [join(dir.path, 'gone')], filesMax })).toEqual({ bytes: 0, files: 0 });
});

test('several directories are one sum, and directories count as files do', async () => {
  await using dir = await tempDir();
  for (const one of ['a', 'b']) {
    mkdirSync(join(dir.path, one, 'sub'), { recursive: true });
    writeFileSync(join(dir.path, one, 'sub', 'file'), 'x');
  }
  const dirs = [join(dir.path, 'a'), join(dir.path, 'b')];
  expect(measure({ dirs, filesMax })?.files).toBe(4);
});

test('counting ends when there are too many, in one directory or in many', async () => {
  await using dir = await tempDir();
  for (let i = 0; i < 200; i += 1) writeFileSync(join(dir.path, `f${i}`), '');
  expect(measure({ dirs: [dir.path], filesMax: 50 })?.files).toBeGreaterThan(50);
  expect(measure({ dirs: [dir.path], filesMax: 200 })?.files).toBe(200);
});

test('nesting without end is refused as a whole', async () => {
  await using dir = await tempDir();
  let path = dir.path;
  for (let i = 0; i < 600; i += 1) path = join(path, 'd');
  mkdirSync(path, { recursive: true });
  expect(() => measure({ dirs: [dir.path], filesMax: 10_000 })).toThrow('nested deeper than 512');
});

test('a look gives up on what needs a thread', async () => {
  await using dir = await tempDir();
  for (let i = 0; i < 20; i += 1) writeFileSync(join(dir.path, `f${i}`), '');
  expect(measure({ dirs: [dir.path], filesMax }, 19)).toBeUndefined();
  expect(measure({ dirs: [dir.path], filesMax }, 20)?.files).toBe(20);
});

test('a process that is gone or not ours holds nothing', async () => {
  await using dir = await tempDir();
  expect(measure({ dirs: [dir.path], filesMax, processes: [999_999_999, 1] })).toEqual({
    bytes: 0,
    files: 0,
  });
});
