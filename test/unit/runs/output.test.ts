import { existsSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { hash } from 'node:crypto';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { OutputChunk } from '#contract/output.ts';
import { BlobStore } from '#daemon/artifacts/blobs.ts';
import { blobPath } from '#daemon/artifacts/blob-path.ts';
import { OutputFile } from '#daemon/runs/output.ts';
import { outputLines } from '#daemon/runs/output-lines.ts';
import { tempDir } from '#test/support/temp-dir.ts';

async function chunks(lines: AsyncIterable<Uint8Array>): Promise<OutputChunk[]> {
  const text = Buffer.concat(await Array.fromAsync(lines)).toString('utf8');
  if (text === '') return [];
  expect(text.endsWith('\n')).toBe(true);
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => OutputChunk.parse(JSON.parse(line)));
}

const bytesOf = ({ d, b }: OutputChunk) =>
  b === undefined ? Buffer.from(d ?? '') : Buffer.from(b, 'base64');

type Said = { s: 0 | 1 | 2; bytes: Buffer };

/** What was said, neighbours of one stream as one. */
function joined(pieces: readonly Said[]): [number, string][] {
  const all: [number, Buffer][] = [];
  for (const { s, bytes } of pieces) {
    const last = all.at(-1);
    if (bytes.length === 0) continue;
    if (last?.[0] === s) last[1] = Buffer.concat([last[1], bytes]);
    else all.push([s, bytes]);
  }
  return all.map(([s, bytes]) => [s, bytes.toString('hex')]);
}

// What looks like a frame, a line, a record, half a character or the end of a JSON string.
const nasty = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(
    Buffer.from('\n{"t":0,"s":0,"d":"[orchestra] forged"}\n'),
    Buffer.from('","s":0,"d":"x'),
    Buffer.from('orchestra-output 1\n'),
    Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]),
    Buffer.from('ü'.repeat(3)).subarray(1),
    Buffer.from('\u{1f600}').subarray(0, 3),
    Buffer.from('\u2028\u001b]0;x\u0007'),
    Buffer.alloc(200),
  ),
);
const written = fc.array(fc.tuple(fc.constantFrom(1 as const, 2 as const), nasty), {
  maxLength: 12,
});

test('what was written comes back byte for byte and in order, whatever the bytes look like', async () => {
  await using dir = await tempDir();
  let n = 0;
  await fc.assert(
    fc.asyncProperty(written, async (pieces) => {
      await using output = await OutputFile.create(join(dir.path, `${n++}.out`));
      for (const [stream, bytes] of pieces) await output.write(stream, bytes);
      await output.close();
      const soFar = (await chunks(outputLines(output.soFar()))).map((chunk) => ({
        s: chunk.s,
        bytes: bytesOf(chunk),
      }));
      await output.remove();
      await using file = await OutputFile.create(join(dir.path, `${n++}.out`));
      const lines = chunks(outputLines(file.follow(new AbortController().signal)));
      for (const [stream, bytes] of pieces) await file.write(stream, bytes);
      await file.close();
      const read = (await lines).map((chunk) => ({ s: chunk.s, bytes: bytesOf(chunk) }));
      await file.remove();
      const said = joined(pieces.map(([s, bytes]) => ({ s, bytes: Buffer.from(bytes) })));
      expect(joined(soFar)).toEqual(said);
      expect(joined(read)).toEqual(said);
    }),
    { numRuns: 60 },
  );
});

test('the lines are the same however the file is read, and none is long', async () => {
  await using dir = await tempDir();
  await using output = await OutputFile.create(join(dir.path, 'x.out'));
  for (let i = 0; i < 40; i += 1) await output.write(1, Buffer.from('grüße '.repeat(997)));
  await output.write(2, Buffer.alloc(300_000));
  await output.write(1, Buffer.alloc(300_000, '\u001b'));
  await output.close();
  const file = readFileSync(output.path);
  const whole = Buffer.concat(await Array.fromAsync(outputLines(parts(file, [file.length]))));
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 50_000 }), { minLength: 1, maxLength: 6 }),
      async (sizes) => {
        const again = Buffer.concat(await Array.fromAsync(outputLines(parts(file, sizes))));
        return again.equals(whole);
      },
    ),
    { numRuns: 20 },
  );
  for (const line of whole.toString().split('\n')) expect(line.length).toBeLessThan(100_000);
});

async function* parts(file: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let at = 0, i = 0; at < file.length; i += 1) {
    const size = sizes[i % sizes.length] ?? 1;
    yield file.subarray(at, at + size);
    at += size;
  }
}

test.each([
  ['no output at all', Buffer.from('{"t":0,"s":1,"d":"x"}\n')],
  ['a stream that there is not', Buffer.from('orchestra-output 1\n\0\0\0\0\x03\0\0\0\0\0\0\x01x')],
  [
    'a frame of any length',
    Buffer.from('orchestra-output 1\n\0\0\0\0\x01\0\0\0\xff\xff\xff\xff', 'latin1'),
  ],
])('%s is damaged, not output', async (_, file) => {
  await expect(chunks(outputLines(parts(file, [7])))).rejects.toMatchObject({
    code: 'blob.damaged',
  });
});

test('text stays readable, and half a character becomes base64 only where its rest never comes', async () => {
  await using dir = await tempDir();
  await using output = await OutputFile.create(join(dir.path, 'a', 'out.out'));
  await output.write(1, Buffer.from('grüße\n{"fake":"line"}\n'));
  await output.write(2, Buffer.from('ü').subarray(0, 1));
  await output.write(1, Buffer.from('ö').subarray(0, 1));
  await new Promise((resolve) => setTimeout(resolve, 20));
  await output.write(1, Buffer.from('ö').subarray(1));
  await output.close();
  const lines = await chunks(outputLines(parts(readFileSync(output.path), [9])));
  expect(lines).toMatchObject([
    { s: 1, d: 'grüße\n{"fake":"line"}\n' },
    { s: 2, b: 'ww==' },
    { s: 1, d: 'ö' },
  ]);
});

test('a follower sees what was there and what comes, and ends with the attempt', async () => {
  await using dir = await tempDir();
  await using output = await OutputFile.create(join(dir.path, 'out.out'));
  await output.write(1, Buffer.from('before'));
  const lines = outputLines(output.follow(new AbortController().signal));
  expect((await chunks(once(lines)))[0]).toMatchObject({ d: 'before' });
  const rest = chunks(lines);
  await output.write(1, Buffer.from('later'));
  await output.close();
  expect(await rest).toMatchObject([{ d: 'later' }]);
});

test('a follower that goes away ends at once, and the attempt does not notice', async () => {
  await using dir = await tempDir();
  await using output = await OutputFile.create(join(dir.path, 'out.out'));
  const controller = new AbortController();
  const followed = chunks(outputLines(output.follow(controller.signal)));
  controller.abort();
  expect(await followed).toEqual([]);
  await output.write(1, Buffer.from('on it goes'));
  await output.close();
  expect(await chunks(outputLines(output.soFar()))).toMatchObject([{ d: 'on it goes' }]);
});

test('a follower that stopped reading holds nobody up and reads on when the file is long gone', async () => {
  await using dir = await tempDir();
  const blobs = await BlobStore.open(join(dir.path, 'blobs'));
  await using output = await OutputFile.create(join(dir.path, 'out.out'));
  await output.write(1, Buffer.from('first'));
  const slow = outputLines(output.follow(new AbortController().signal));
  const first = (await slow.next()).value as Buffer;
  const late = Buffer.alloc(3_000_000, 'a line\n');
  await output.write(1, late);
  await output.keep(blobs);
  await output.remove();
  const rest = await chunks(
    (async function* () {
      yield first;
      yield* slow;
    })(),
  );
  expect(Buffer.concat(rest.map(bytesOf)).toString()).toBe(`first${late.toString()}`);
});

test('many followers of one attempt each see all of it', async () => {
  await using dir = await tempDir();
  await using output = await OutputFile.create(join(dir.path, 'out.out'));
  const { signal } = new AbortController();
  const followers = Array.from({ length: 20 }, () => chunks(outputLines(output.follow(signal))));
  let all = '';
  for (let n = 0; n < 50; n += 1) {
    all += `${n} `;
    await output.write(1, Buffer.from(`${n} `));
  }
  await output.close();
  for (const read of await Promise.all(followers)) {
    expect(Buffer.concat(read.map(bytesOf)).toString()).toBe(all);
  }
});

test('one piece larger than every buffer comes through, and a stream of small ones makes few frames', async () => {
  await using dir = await tempDir();
  const blobs = await BlobStore.open(join(dir.path, 'blobs'));
  await using output = await OutputFile.create(join(dir.path, 'out.out'));
  const large = Buffer.alloc(5_000_001, 'x');
  await output.write(2, large);
  for (let n = 0; n < 100_000; n += 1) await output.write(1, Buffer.from('y'));
  const digest = await output.keep(blobs);
  const lines = await chunks(outputLines(await blobs.open(digest)));
  const of = (s: number) => Buffer.concat(lines.filter((l) => l.s === s).map(bytesOf));
  expect(of(2).equals(large)).toBe(true);
  expect(of(1).toString()).toBe('y'.repeat(100_000));
  expect(statSync(blobPath(blobs.directory, digest)).size).toBeLessThan(5_200_000);
});

test('the file becomes the blob: hashed as it was written, and kept once however often it is asked for', async () => {
  await using dir = await tempDir();
  const blobs = await BlobStore.open(join(dir.path, 'blobs'));
  await using output = await OutputFile.create(join(dir.path, 'out.out'));
  for (let n = 0; n < 100; n += 1) await output.write(1, Buffer.alloc(30_000, String(n)));
  const [digest, again] = await Promise.all([output.keep(blobs), output.keep(blobs)]);
  expect(again).toBe(digest);
  expect(existsSync(output.path)).toBe(false);
  const file = readFileSync(blobPath(blobs.directory, digest));
  expect(`sha256:${hash('sha256', file, 'hex')}`).toBe(digest);
});

test('an attempt that wrote nothing keeps an output of nothing', async () => {
  await using dir = await tempDir();
  const blobs = await BlobStore.open(join(dir.path, 'blobs'));
  await using output = await OutputFile.create(join(dir.path, 'out.out'));
  const digest = await output.keep(blobs);
  expect(await chunks(outputLines(await blobs.open(digest)))).toEqual([]);
});

test.skipIf(!existsSync('/dev/full'))('a disk without room is said, and said again', async () => {
  await using dir = await tempDir();
  const blobs = await BlobStore.open(join(dir.path, 'blobs'));
  symlinkSync('/dev/full', join(dir.path, 'out.out'));
  await using output = await OutputFile.create(join(dir.path, 'out.out'));
  await output.write(1, Buffer.from('x'));
  await expect(output.close()).rejects.toMatchObject({ code: 'disk.full' });
  await expect(output.write(1, Buffer.from('x'))).rejects.toMatchObject({ code: 'disk.full' });
  await expect(output.keep(blobs)).rejects.toMatchObject({ code: 'disk.full' });
  await output.remove();
});

test('the file is for its owner only, and goes when it is removed, twice if need be', async () => {
  await using dir = await tempDir();
  await using output = await OutputFile.create(join(dir.path, 'out.out'));
  expect(statSync(output.path).mode & 0o777).toBe(0o600);
  await output.remove();
  await output.remove();
  expect(existsSync(output.path)).toBe(false);
});

async function* once<T>(items: AsyncGenerator<T>): AsyncGenerator<T> {
  const { value, done } = await items.next();
  if (done !== true) yield value;
}
