import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Digest } from '#contract/ids.ts';
import { blobPath } from '#daemon/artifacts/blob-path.ts';
import { freshen, freshenSync } from '#daemon/artifacts/freshen.ts';
import { adoptFile, storeFile } from '#daemon/artifacts/store-file.ts';
import { PackageStore } from '#daemon/provision/package-store.ts';
import { missingBlobs } from '#daemon/workspace/missing.ts';
import type { Workspace } from '#daemon/workspace/open.ts';
import { Scratch } from '../support.ts';
import { leave, type Left } from './support.ts';

// Only the clock of this process; the disk's own goes on.
beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 }));
afterEach(() => void vi.useRealTimers());

type Scene = { workspace: Workspace; left: Left; dir: string; blob: Digest; scratch: Scratch };

const finders: [string, (scene: Scene) => unknown, (scene: Scene) => string][] = [
  ['content that is put again', put, blobFile],
  [
    'content that is read',
    ({ workspace, blob }) => workspace.blobs.read(blob, { maxBytes: 10 }),
    blobFile,
  ],
  ['content that is asked for', ({ workspace, blob }) => workspace.blobs.has(blob), blobFile],
  [
    'content that a client need not send',
    ({ dir, blob }) => missingBlobs(`${dir}/blobs`, [blob]),
    blobFile,
  ],
  ['content that is collected again', collect, blobFile],
  ['content that is taken out of a layer again', adopt, blobFile],
  [
    'a snapshot that is asked for',
    ({ workspace, left }) => workspace.snapshots.find(left.snapshot),
    ({ dir, left }) => `${dir}/snapshots/${left.snapshot.slice(7)}`,
  ],
  [
    'a layer that is asked for',
    ({ workspace, left }) => workspace.layers.has(left.layers[0] ?? 'sha256:'),
    layerDir,
  ],
];

test.each(finders)('%s is touched, and its time stays', async (_what, find, pathOf) => {
  await using scratch = new Scratch();
  const workspace = await scratch.workspace();
  const left = await leave(workspace, 'r-1', {
    files: { a: 'one' },
    layers: [{ b: 'made' }],
    blobs: ['out'],
  });
  const [blob = 'sha256:'] = left.blobs;
  const scene = { workspace, left, dir: scratch.path('state'), blob, scratch };
  const path = pathOf(scene);
  const before = fs.statSync(path);
  await find(scene);
  const after = fs.statSync(path);
  expect(after.atimeMs - before.atimeMs).toBeGreaterThan(3_000_000);
  expect(Math.round(after.mtimeMs)).toBe(Math.round(before.mtimeMs));
  expect(after.ino).toBe(before.ino);
});

test('a package that is found is touched', async () => {
  await using scratch = new Scratch();
  const store = new PackageStore(scratch.path('store'));
  const integrity = `sha512-${Buffer.alloc(64).toString('base64')}`;
  const path = scratch.path(`store/content-v2/sha512/00/00/${'00'.repeat(62)}`);
  fs.mkdirSync(join(path, '..'), { recursive: true });
  fs.writeFileSync(path, 'x');
  const before = fs.statSync(path).atimeMs;
  expect(await store.sizeOf(integrity)).toBe(1);
  expect(fs.statSync(path).atimeMs).toBeGreaterThan(before);
});

test('what is not there is not made, and a name that leads nowhere is nothing', async () => {
  await using scratch = new Scratch();
  fs.symlinkSync('nowhere', scratch.path('link'));
  for (const name of ['none', 'none/below', 'link', 'link/below']) {
    expect(await freshen(scratch.path(name))).toBe(false);
    expect(freshenSync(scratch.path(name))).toBe(false);
  }
  expect(fs.readdirSync(scratch.root)).toEqual(['link']);
});

function put({ workspace }: Scene) {
  return workspace.blobs.put(Buffer.from('out'), { maxBytes: 10 });
}

function collect({ dir, scratch }: Scene): void {
  fs.writeFileSync(scratch.path('file'), 'out');
  const fd = fs.openSync(scratch.path('file'), 'r');
  storeFile(`${dir}/blobs`, fd);
  fs.closeSync(fd);
}

function adopt({ dir, blob, scratch }: Scene): void {
  fs.writeFileSync(scratch.path('file'), 'out');
  expect(adoptFile(`${dir}/blobs`, blob, scratch.path('file'))).toBe(true);
}

function blobFile({ dir, blob }: Scene): string {
  return blobPath(`${dir}/blobs`, blob);
}

function layerDir({ dir, left }: Scene): string {
  const link = `${dir}/layers/${left.layers[0]?.slice(7) ?? ''}`;
  return join(dir, 'layers', fs.readlinkSync(link));
}
