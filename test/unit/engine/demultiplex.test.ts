import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { demultiplex } from '#daemon/engine/drivers/demultiplex.ts';

function frame(s: number, bytes: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header[0] = s;
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

async function* inPieces(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0;
  for (let i = 0; at < bytes.length; i += 1) {
    const size = sizes[i % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

async function collect(source: AsyncIterable<Buffer>) {
  const out: Record<1 | 2, Buffer[]> = { 1: [], 2: [] };
  for await (const { s, bytes } of demultiplex(source)) out[s].push(Buffer.from(bytes));
  return { stdout: Buffer.concat(out[1]), stderr: Buffer.concat(out[2]) };
}

test('however the bytes arrive, each stream comes out whole and in order', async () => {
  const frames = fc.array(
    fc.record({ s: fc.constantFrom(1, 2), bytes: fc.uint8Array({ maxLength: 40 }) }),
  );
  const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(frames, sizes, async (list, cuts) => {
      const bytes = Buffer.concat(list.map((one) => frame(one.s, one.bytes)));
      const got = await collect(inPieces(bytes, cuts));
      const want = (s: number) => Buffer.concat(list.filter((f) => f.s === s).map((f) => f.bytes));
      return got.stdout.equals(want(1)) && got.stderr.equals(want(2));
    }),
  );
});

test('a frame is given on as it arrives, whatever length it claims', async () => {
  const header = Buffer.from([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
  const pieces = demultiplex(
    (async function* () {
      yield header;
      yield Buffer.from('abc');
      await new Promise(() => {});
    })(),
  );
  const first = await pieces.next();
  expect(Buffer.from(first.value?.bytes ?? []).toString()).toBe('abc');
});

test.each([
  ['another stream number', Buffer.from([3, 0, 0, 0, 0, 0, 0, 1, 65])],
  ['text instead of frames', Buffer.from('hello world')],
  ['an end inside a header', Buffer.from([1, 0, 0])],
  ['an end inside a frame', Buffer.from([1, 0, 0, 0, 0, 0, 0, 9, 65])],
])('%s is an error, not output', async (_, bytes) => {
  await expect(collect(inPieces(bytes, [5]))).rejects.toMatchObject({ code: 'engine.failed' });
});

test('whatever comes, what is given on was in it, in order, and nothing but output or an error comes of it', async () => {
  // Headers that are right, wrong or half, and contents that look like headers.
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.uint8Array({ maxLength: 12 }).map((bytes) => frame(1, frame(2, bytes))),
    fc.constantFrom(
      Buffer.from([1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]),
      Buffer.from([0, 0, 0, 0, 0, 0, 0, 3]),
      Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]),
      Buffer.from([1, 0, 1, 0, 0, 0, 0, 1]),
    ),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(part, { maxLength: 8 }),
      fc.integer({ min: 1, max: 9 }),
      async (all, cut) => {
        const bytes = Buffer.concat(all);
        let at = 0;
        try {
          for await (const piece of demultiplex(inPieces(bytes, [cut]))) {
            const found = bytes.indexOf(piece.bytes, at);
            expect(piece.bytes.length === 0 || found >= at).toBe(true);
            expect([1, 2]).toContain(piece.s);
            at = found + piece.bytes.length;
          }
        } catch (error) {
          expect(error).toMatchObject({ code: 'engine.failed' });
        }
      },
    ),
  );
});
