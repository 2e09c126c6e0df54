import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BlobStore } from '#daemon/artifacts/blobs.ts';
import { collect, type Collected } from '#daemon/artifacts/collect.ts';
import { artifactTar } from '#daemon/artifacts/tar.ts';
import { openXattrs } from '#daemon/artifacts/xattr.ts';

const xattrs = openXattrs();
let root: string;
let blobs: BlobStore;

beforeEach(async () => {
  root = fs.mkdtempSync(join(tmpdir(), 'orc-art-'));
  blobs = await BlobStore.open(join(root, 'blobs'));
  for (const name of ['top', 'mid', 'low', 'outside']) fs.mkdirSync(join(root, name));
  put('outside/key', 'top secret');
});
afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

function put(path: string, text: string): void {
  fs.mkdirSync(join(root, path, '..'), { recursive: true });
  fs.writeFileSync(join(root, path), text);
}

const wide = { filesMax: 1000, bytesMax: 1_000_000, depthMax: 50 };

function take(path: string, limits: Partial<typeof wide> = {}): Collected {
  return collect(
    {
      roots: ['top', 'mid', 'low'].map((name) => join(root, name)),
      outputs: [{ name: 'out', path, required: true }],
      limits: { ...wide, ...limits },
    },
    blobs.directory,
    xattrs,
  );
}

async function content(collected: Collected): Promise<string> {
  const digest = collected.artifacts[0]?.digest ?? '';
  return (await blobs.read(digest, { maxBytes: 1_000_000 })).toString();
}

async function listed(collected: Collected): Promise<string[]> {
  const tar = await buffer(await artifactTar(blobs, collected.artifacts[0]?.digest ?? ''));
  return execFileSync('tar', ['t'], { input: tar, encoding: 'utf8' }).trim().split('\n');
}

test('the uppermost file of a path is the one', async () => {
  put('low/dist/a', 'low');
  put('top/dist/a', 'top');
  put('mid/dist/b', 'mid');

  expect(await content(take('dist/a'))).toBe('top');
  expect(await content(take('./dist//b'))).toBe('mid');
});

test('a directory is collected as the layers show it together', async () => {
  put('low/dist/a', 'low');
  put('mid/dist/sub/b', 'mid');
  put('top/dist/c', 'top');
  const collected = take('dist/');

  expect(collected.artifacts[0]).toMatchObject({
    kind: 'directory',
    files: 3,
    bytes: 9,
    leftOut: [],
  });
  expect(await listed(collected)).toEqual(['a', 'c', 'sub/', 'sub/b']);
});

test('an opaque directory hides what is below it', async () => {
  put('low/dist/a', 'low');
  put('top/dist/b', 'top');
  xattrs.set(join(root, 'top/dist'), 'user.overlay.opaque', 'y');

  expect(await listed(take('dist'))).toEqual(['b']);
  expect(take('dist/a').rejected[0]?.reason).toBe('not there');
});

test.skipIf(process.getuid?.() !== 0)('a whiteout hides a file (mknod needs root)', async () => {
  put('low/dist/a', 'low');
  put('low/dist/b', 'low');
  fs.mkdirSync(join(root, 'top/dist'));
  execFileSync('mknod', [join(root, 'top/dist/a'), 'c', '0', '0']);

  expect(await listed(take('dist'))).toEqual(['b']);
  expect(take('dist/a').rejected[0]?.reason).toBe('not there');
});

test.each([
  ['the output itself', 'top/out', '../outside/key', 'out'],
  ['a directory on the way', 'top/dist', '../outside', 'dist/key'],
  ['an absolute link', 'top/out', '/etc/passwd', 'out'],
  ['a link into the workspace', 'top/out', 'real', 'out'],
  ['a link to itself', 'top/out', 'out', 'out'],
])('%s being a link is refused and nothing is read through it', (_what, at, target, path) => {
  put('top/real', 'fine');
  fs.symlinkSync(target, join(root, at));
  const { artifacts, rejected } = take(path);

  expect(artifacts).toEqual([]);
  expect(rejected[0]?.reason).toMatch(/is a link$/);
  expect(fs.readdirSync(blobs.directory)).toEqual(['tmp']);
});

test('links, pipes and sockets inside a directory are left out and listed', async () => {
  put('top/dist/a', 'a');
  fs.symlinkSync('../../outside', join(root, 'top/dist/link'));
  execFileSync('mkfifo', [join(root, 'top/dist/pipe')]);
  const server = createServer().listen(join(root, 'top/dist/sock'));
  await new Promise((resolve) => server.once('listening', resolve));
  fs.writeFileSync(Buffer.concat([Buffer.from(join(root, 'top/dist/')), Buffer.of(0xff)]), 'x');
  const collected = take('dist');
  await new Promise((resolve) => server.close(resolve));

  expect(collected.artifacts[0]?.leftOut.map(({ reason }) => reason)).toEqual([
    'link',
    'device',
    'device',
    'name',
  ]);
  expect(await listed(collected)).toEqual(['a']);
});

test('a pipe as output is refused at once instead of being waited for', () => {
  execFileSync('mkfifo', [join(root, 'top/out')]);

  expect(take('out').rejected[0]?.reason).toMatch(/neither a file nor a directory/);
});

test.each(['../outside/key', '/etc/passwd', 'a/../../outside/key', 'a\0b'])(
  '%j is not a path of an output',
  (path) => {
    expect(take(path).rejected[0]?.reason).toMatch(/not a path/);
  },
);

test('files, bytes and depth have limits, exact to the last one', () => {
  for (let i = 0; i < 5; i += 1) put(`top/dist/f${i}`, '12');

  expect(take('dist', { filesMax: 4 }).rejected[0]?.reason).toMatch(/more than 4 files/);
  expect(take('dist', { bytesMax: 9 }).rejected[0]?.reason).toMatch(/more than 9 bytes/);
  expect(take('dist', { filesMax: 5, bytesMax: 10 }).artifacts).toHaveLength(1);
  put('top/deep/1/2/3/f', 'x');
  expect(take('deep', { depthMax: 2 }).rejected[0]?.reason).toMatch(/nested deeper/);
});

test('a missing output is one refusal and the others are collected', () => {
  put('top/there', 'x');
  const outputs = [
    { name: 'a', path: 'missing', required: false },
    { name: 'b', path: 'there', required: true },
    { name: 'c', path: 'there/more', required: true },
  ];
  const { artifacts, rejected } = collect(
    { roots: [join(root, 'top')], outputs, limits: wide },
    blobs.directory,
    xattrs,
  );

  expect(artifacts.map(({ name }) => name)).toEqual(['b']);
  expect(rejected).toEqual([
    { name: 'a', path: 'missing', required: false, reason: 'not there' },
    { name: 'c', path: 'there/more', required: true, reason: 'not there' },
  ]);
});

test('an artifact outlives and does not change with the file that it was made of', async () => {
  put('top/out', 'before');
  const collected = take('out');
  fs.appendFileSync(join(root, 'top/out'), ' after');

  expect(await content(collected)).toBe('before');
});
