import { hash } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { blobPath } from '#daemon/artifacts/blob-path.ts';
import { BlobStore } from '#daemon/artifacts/blobs.ts';

let root: string;
let blobs: BlobStore;
beforeEach(async () => {
  root = fs.mkdtempSync(join(tmpdir(), 'orc-blob-'));
  blobs = await BlobStore.open(join(root, 'blobs'));
});
afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

const limit = { maxBytes: 1000 };
async function* pieces(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text);
}
const temps = (): string[] => fs.readdirSync(join(root, 'blobs/tmp'));

test('what is put by pieces comes out whole, under its sha256', async () => {
  const { digest, bytes } = await blobs.put(pieces('a', '', 'bc'), limit);

  expect(digest).toBe(`sha256:${hash('sha256', 'abc', 'hex')}`);
  expect(bytes).toBe(3);
  expect((await buffer(await blobs.open(digest))).toString()).toBe('abc');
  expect(await blobs.size(digest)).toBe(3);
  expect(temps()).toEqual([]);
});

test('the same content twice at the same time is one blob', async () => {
  const both = await Promise.all([
    blobs.put(Buffer.from('x'), limit),
    blobs.put(pieces('x'), limit),
  ]);

  expect(both[0]).toEqual(both[1]);
  expect(await blobs.verify(both[0].digest)).toBe(true);
});

test('one byte too many is refused and leaves nothing, the limit itself is fine', async () => {
  await blobs.put(pieces('12345', '67890'), { maxBytes: 10 });
  const putting = blobs.put(pieces('12345', '678901'), { maxBytes: 10 });

  await expect(putting).rejects.toMatchObject({ code: 'request.too_large' });
  expect(temps()).toEqual([]);
});

test('a source that fails leaves nothing', async () => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('a');
    throw new Error('gone');
  }

  await expect(blobs.put(failing(), limit)).rejects.toThrow('gone');
  expect(temps()).toEqual([]);
});

test('a blob whose bytes changed on disk is never handed out as whole', async () => {
  const { digest } = await blobs.put(Buffer.from('right'), limit);
  fs.writeFileSync(blobPath(join(root, 'blobs'), digest), 'wrong');

  expect(await blobs.verify(digest)).toBe(false);
  await expect(blobs.read(digest, limit)).rejects.toMatchObject({ code: 'blob.damaged' });
  await expect(buffer(await blobs.open(digest))).rejects.toMatchObject({ code: 'blob.damaged' });
});

test('an unknown blob is blob.unknown, and a digest never becomes a path', async () => {
  const digest = `sha256:${'0'.repeat(64)}`;

  expect(await blobs.has(digest)).toBe(false);
  await expect(blobs.open(digest)).rejects.toMatchObject({ code: 'blob.unknown' });
  await expect(blobs.read('sha256:../../../etc/passwd', limit)).rejects.toThrow(TypeError);
});

test('what a crash left half-written is swept when the store is opened', async () => {
  fs.writeFileSync(join(root, 'blobs/tmp/half'), 'x');
  await BlobStore.open(join(root, 'blobs'));

  expect(temps()).toEqual([]);
});
