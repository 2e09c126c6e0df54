import * as fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Bench, overlayTest } from './overlay.ts';
import { isRoot, Scratch } from './support.ts';

async function project(scratch: Scratch): Promise<{ digest: string; dir: string }> {
  const dir = scratch.path('project');
  for (const name of ['src/gen', 'app/deep', 'docs']) {
    fs.mkdirSync(join(dir, name), { recursive: true });
  }
  for (const name of ['package.json', 'src/a.ts', 'src/gen/b.ts', 'docs/x.md', 'app/deep/y']) {
    fs.writeFileSync(join(dir, name), name);
  }
  fs.writeFileSync(join(dir, 'run.sh'), '#!/bin/sh\n', { mode: 0o755 });
  fs.symlinkSync('src/a.ts', join(dir, 'link'));
  return { dir, digest: (await scratch.snapshot(dir)).digest };
}
const paths = (entries: readonly { path: string }[]) => entries.map(({ path }) => path).sort();

test('a part of a snapshot that is not there is an error, and nothing of it is kept', async () => {
  await using scratch = new Scratch();
  const { snapshots } = await scratch.workspace();
  await expect(
    snapshots.subset(`sha256:${'0'.repeat(64)}`, { inputs: ['a'], cwd: '.' }),
  ).rejects.toMatchObject({ code: 'snapshot.unknown' });
  expect(fs.readdirSync(scratch.path('state/snapshots'))).toEqual([]);
});

test('a part holds what the globs take in, the directories above, and the working directory', async () => {
  await using scratch = new Scratch();
  const { digest } = await project(scratch);
  const { snapshots } = await scratch.workspace();
  const part = await snapshots.subset(digest, {
    inputs: ['src/**', '!src/gen/', '*.json', 'link', 'run.sh'],
    cwd: 'app/deep',
  });

  expect(paths(await snapshots.entries(part))).toEqual(
    ['app', 'app/deep', 'link', 'package.json', 'run.sh', 'src', 'src/a.ts'].sort(),
  );
  const tree = scratch.path(`state/snapshots/${part.slice(7)}/tree`);
  expect(fs.readFileSync(join(tree, 'src/a.ts'), 'utf8')).toBe('src/a.ts');
  expect(fs.readlinkSync(join(tree, 'link'))).toBe('src/a.ts');
  expect(fs.statSync(join(tree, 'run.sh')).mode & 0o777).toBe(0o755);
  expect(fs.readdirSync(join(tree, 'app/deep'))).toEqual([]);
  const whole = scratch.path(`state/snapshots/${digest.slice(7)}/tree/src/a.ts`);
  expect(fs.statSync(join(tree, 'src/a.ts')).ino).toBe(fs.statSync(whole).ino);
  if (isRoot) expect(fs.statSync(join(tree, 'src')).uid).toBe(1000);
  expect(await snapshots.find(part)).toEqual({ digest: part, files: 3, bytes: 8 + 12 + 10 });
});

test('a change of what a part does not hold leaves the part the same', async () => {
  await using scratch = new Scratch();
  const { digest, dir } = await project(scratch);
  const { snapshots } = await scratch.workspace();
  const wanted = { inputs: ['src/'], cwd: '.' };
  const before = await snapshots.subset(digest, wanted);
  fs.writeFileSync(join(dir, 'docs/x.md'), 'changed');
  fs.writeFileSync(join(dir, 'new'), 'new');
  const changed = await scratch.snapshot(dir);
  expect(changed.digest).not.toBe(digest);
  expect(await snapshots.subset(changed.digest, wanted)).toBe(before);
  fs.writeFileSync(join(dir, 'src/a.ts'), 'changed');
  expect(await snapshots.subset((await scratch.snapshot(dir)).digest, wanted)).not.toBe(before);
});

test('a part that was removed is made again, by whoever asks first and in either way', async () => {
  await using scratch = new Scratch();
  const { digest } = await project(scratch);
  const { snapshots } = await scratch.workspace();
  const wanted = { inputs: ['src/'], cwd: '.' };
  const part = await snapshots.subset(digest, wanted);
  const dir = scratch.path(`state/snapshots/${part.slice(7)}`);
  fs.rmSync(dir, { recursive: true });
  expect(await Promise.all([1, 2, 3].map(() => snapshots.subset(digest, wanted)))).toEqual([
    part,
    part,
    part,
  ]);
  expect(fs.existsSync(join(dir, 'tree/src/a.ts'))).toBe(true);
  expect(fs.readdirSync(scratch.path('state/tmp'))).toEqual([]);
  // With the manifest in memory no thread is asked which part it is.
  await snapshots.entries(digest);
  expect(await snapshots.subset(digest, { inputs: ['src'], cwd: '.' })).toBe(part);
});

overlayTest('a file that the task did not see and makes is a change of that path', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  await bench.task('t', [], 'test ! -e b.txt; echo mine > b.txt; echo new > c.txt', ['a.txt']);
  expect(await bench.changes()).toEqual(['modified b.txt', 'added c.txt']);
  expect(await bench.look(['t'], 'cat a.txt b.txt c.txt')).toBe('a\nmine\nnew\n');
});

overlayTest('a file that it makes just as it is in the workspace is no change', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  await bench.task('t', [], 'echo b > b.txt', ['a.txt']);
  expect(await bench.changes()).toEqual([]);
});

overlayTest('two tasks that made a path differently are a conflict, seen or not', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  await bench.task('blind', [], 'echo x > b.txt', ['a.txt']);
  await bench.task('seeing', [], 'echo y > b.txt');
  await expect(bench.look(['blind', 'seeing'], 'true')).rejects.toMatchObject({
    code: 'workspace.conflict',
  });
});

overlayTest('a directory that it makes does not hide files in it that it did not see', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  await bench.task('t', [], 'mkdir -p src/old; echo 3 > src/old/three', ['a.txt']);
  expect(await bench.changes()).toEqual(['added src/old/three']);
  expect(await bench.look(['t'], 'cat src/old/*')).toBe('1\n3\n2\n');
});

overlayTest.for<[string, string, string]>([
  ['a directory', 'rm -r src', ''],
  ['a directory and makes it anew', 'rm -r src; mkdir -p src/old; echo 3 > src/old/three', '3\n'],
  [
    'a directory and makes it anew with the same file',
    'rm -r src; mkdir -p src/old; echo 1 > src/old/one',
    '1\n',
  ],
])('who deletes %s deletes what was seen in it', async ([, text, left]) => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  await bench.task('t', [], text, ['src/old/one']);
  const expected = left === '1\n' ? '1\n2\n' : left === '' ? '2\n' : '3\n2\n';
  expect(await bench.look(['t'], 'cat src/old/*')).toBe(expected);
  const changes = await bench.changes();
  expect(changes).not.toContain('deleted src/old/two');
  expect(changes.includes('deleted src/old/one')).toBe(left !== '1\n');
});

overlayTest('what an earlier task made is deleted by name as well', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  await bench.task('make', [], 'mkdir -p dist/a; echo 1 > dist/a/1; ln -s a dist/b');
  await bench.task('clean', ['make'], 'rm -r dist src', ['src/old/one']);
  expect(await bench.look(['clean'], 'find dist src | sort')).toBe(
    'dist\ndist/a\nsrc\nsrc/old\nsrc/old/two\n',
  );
  expect(await bench.changes()).toEqual(['added dist', 'added dist/a', 'deleted src/old/one']);
});

overlayTest('where the layer is used again does not matter for what it deletes', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  const sealed = await bench.task('t', [], 'rm -r src', ['src/']);
  const dir = scratch.path('project');
  fs.writeFileSync(join(dir, 'src/later'), 'later\n');
  const { digest } = await scratch.snapshot(dir);
  const { items } = await bench.workspace.layers.changes(digest, [sealed.digest]);
  expect(items.map((item) => `${item.change} ${item.path}`)).toEqual([
    'deleted src/old/one',
    'deleted src/old/two',
  ]);
});

overlayTest('a file in the place of a directory hides all of it, as without inputs', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  await bench.task('t', [], 'rm -r src; echo file > src', ['src/old/one']);
  expect(await bench.look(['t'], 'cat src')).toBe('file\n');
});
