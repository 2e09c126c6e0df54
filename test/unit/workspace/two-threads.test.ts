import { createHash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Scratch } from './support.ts';

const header = (path: string, content: Uint8Array, more: object = {}): Buffer =>
  line({ type: 'file', path, executable: false, bytes: content.length, content: true, ...more });
const line = (frame: object): Buffer => Buffer.from(`${JSON.stringify(frame)}\n`);
const digestOf = (content: Uint8Array): string =>
  `sha256:${createHash('sha256').update(content).digest('hex')}`;
const wrong = `sha256:${'0'.repeat(64)}`;

async function* sent(...parts: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* parts;
}

function blobsOf(scratch: Scratch): string[] {
  const found = fs.readdirSync(scratch.path('state/blobs'), { recursive: true, encoding: 'utf8' });
  return found.filter((name) => name.includes('/'));
}

function left(scratch: Scratch): string[] {
  return ['tmp', 'snapshots'].flatMap((name) => fs.readdirSync(scratch.path(`state/${name}`)));
}

test('a file is under no digest before the last of its bytes is hashed, and gone when it never comes', async () => {
  await using scratch = new Scratch();
  const { snapshots } = await scratch.workspace();
  const content = randomBytes(3_000_000);
  const abort = new AbortController();
  async function* body(): AsyncGenerator<Uint8Array> {
    yield Buffer.concat([header('a', content), content.subarray(0, -1)]);
    yield Buffer.alloc(0);
    await new Promise(() => {});
  }
  const upload = Promise.allSettled([snapshots.ingest(body(), abort.signal)]);
  const written = (): number => {
    const [temp = ''] = fs.readdirSync(scratch.path('state/tmp'));
    const at = join(scratch.path('state/tmp'), temp, 'tree/a');
    return fs.statSync(at, { throwIfNoEntry: false })?.size ?? 0;
  };
  await expect.poll(written, { timeout: 15_000 }).toBeGreaterThan(2_000_000);
  const meanwhile = blobsOf(scratch);
  abort.abort(new Error('enough'));

  expect(meanwhile).toEqual([]);
  expect(await upload).toMatchObject([{ status: 'rejected', reason: { message: 'enough' } }]);
  expect(blobsOf(scratch)).toEqual([]);
  expect(left(scratch)).toEqual([]);
});

test('a large file that is not what its digest says is in no blob and in no tree', async () => {
  await using scratch = new Scratch();
  const { snapshots } = await scratch.workspace();
  const content = randomBytes(3_000_000);
  const upload = snapshots.ingest(
    sent(header('a', content, { digest: wrong }), content, line({ type: 'end', entries: 1 })),
  );

  await expect(upload).rejects.toMatchObject({ code: 'workspace.invalid' });
  expect(blobsOf(scratch)).toEqual([]);
  expect(left(scratch)).toEqual([]);
});

test('of two failures the one that came first in the stream is told, whichever thread met it', async () => {
  await using scratch = new Scratch();
  const { snapshots } = await scratch.workspace();
  const content = randomBytes(2_000_000);
  const known = { digest: wrong, content: false };
  for (let i = 0; i < 3; i += 1) {
    const upload = snapshots.ingest(
      sent(header('a', content, known), header('b', content), content, Buffer.from('nonsense\n')),
    );
    await expect(upload).rejects.toMatchObject({ code: 'blob.unknown' });
    expect(left(scratch)).toEqual([]);
  }
  const good = sent(header('b', content), content, line({ type: 'end', entries: 1 }));

  expect(await snapshots.ingest(good)).toMatchObject({ digests: [digestOf(content)] });
});

test('a size that does not fit content which is there already is refused', async () => {
  await using scratch = new Scratch();
  const { snapshots } = await scratch.workspace();
  const content = Buffer.from('known');
  const end = line({ type: 'end', entries: 1 });
  await snapshots.ingest(sent(header('a', content), content, end));
  const known = { digest: digestOf(content), content: false, bytes: 4 };

  await expect(snapshots.ingest(sent(header('a', content, known), end))).rejects.toMatchObject({
    code: 'workspace.invalid',
  });
  expect(fs.readdirSync(scratch.path('state/tmp'))).toEqual([]);
});

test('however a stream is cut, every file arrives and is a link to the blob of its digest', async () => {
  await using scratch = new Scratch();
  const { snapshots } = await scratch.workspace();
  const sizes = fc.array(fc.oneof(fc.nat(40), fc.nat(300_000)), { minLength: 1, maxLength: 12 });
  const cuts = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(sizes, cuts, async (bytes, steps) => {
      const files = bytes.map((size) => randomBytes(size));
      const end = line({ type: 'end', entries: files.length });
      const stream = Buffer.concat([...files.flatMap((f, i) => [header(`f${i}`, f), f]), end]);
      async function* body(): AsyncGenerator<Uint8Array> {
        for (let at = 0, i = 0; at < stream.length; i += 1) {
          const to = at + (steps[i % steps.length] ?? 1);
          yield stream.subarray(at, to);
          at = to;
        }
      }
      const { digest, digests } = await snapshots.ingest(body());

      expect(digests).toEqual(files.map(digestOf));
      const tree = scratch.path(`state/snapshots/${digest.slice(7)}/tree`);
      for (const [i, file] of files.entries()) {
        const hex = digestOf(file).slice(7);
        const blob = scratch.path(`state/blobs/${hex.slice(0, 2)}/${hex}.f`);
        expect(fs.readFileSync(join(tree, `f${i}`)).equals(file)).toBe(true);
        expect(fs.statSync(join(tree, `f${i}`)).ino).toBe(fs.statSync(blob).ino);
      }
    }),
    { numRuns: 25 },
  );
  expect(fs.readdirSync(scratch.path('state/tmp'))).toEqual([]);
});
