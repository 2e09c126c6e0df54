import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  frameBytesMax,
  frameHeaderBytes,
  FrameReader,
  title,
  writeHeader,
} from '#contract/output-frames.ts';

type Said = { t: number; s: 0 | 1 | 2; bytes: Uint8Array };

function framed(all: readonly Said[]): Buffer {
  const frames = all.map(({ t, s, bytes }) => {
    const frame = Buffer.alloc(frameHeaderBytes + bytes.length);
    writeHeader(frame, 0, { t, s, length: bytes.length });
    frame.set(bytes, frameHeaderBytes);
    return frame;
  });
  return Buffer.concat([title, ...frames]);
}

/** Reads what arrives in pieces of these sizes, again and again; whole frames come out. */
function read(bytes: Buffer, sizes: readonly number[]): Said[] {
  const reader = new FrameReader();
  const whole: Said[] = [];
  let open: Said | undefined;
  for (let at = 0, n = 0; at < bytes.length; n += 1) {
    const size = sizes[n % sizes.length] ?? 1;
    for (const { isLast, ...part } of reader.push(bytes.subarray(at, at + size))) {
      open = { ...part, bytes: Buffer.concat([open?.bytes ?? Buffer.alloc(0), part.bytes]) };
      if (!isLast) continue;
      whole.push(open);
      open = undefined;
    }
    at += size;
  }
  return whole;
}

const sizes = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 5 });
const frame = fc.record({
  t: fc.integer({ min: 0, max: 0xffff_ffff }),
  s: fc.constantFrom(0 as const, 1 as const, 2 as const),
  bytes: fc.uint8Array({ minLength: 1, maxLength: 80 }),
});

const header = (hex: string) => Buffer.concat([title, Buffer.from(hex, 'hex')]);
test.each([
  ['another title', Buffer.from('orchestra-output 2\n')],
  ['lines of JSON', Buffer.from('{"t":0,"s":1,"d":"a line of text"}\n')],
  ['a stream that there is not', header('000000000300000000000001')],
  ['a byte that is always zero and is not', header('000000000100000100000001')],
  ['a frame of nothing', header('000000000100000000000000')],
  ['a frame of a byte too much', header('000000000100000000100001')],
  ['a frame of 4 GiB', header('0000000001000000ffffffff')],
])('%s is damaged, however it is cut, and stays so', (_, bytes) => {
  for (const size of [1, 7, bytes.length]) {
    expect(() => read(bytes, [size])).toThrow(expect.objectContaining({ code: 'blob.damaged' }));
  }
  const reader = new FrameReader();
  expect(() => reader.push(bytes)).toThrow();
  expect(() => reader.push(framed([]))).toThrow(expect.objectContaining({ code: 'blob.damaged' }));
});

test('any bytes at all are frames or are refused, and no more comes out than went in', () => {
  fc.assert(
    fc.property(fc.boolean(), fc.uint8Array({ maxLength: 200 }), sizes, (titled, rest, cuts) => {
      const bytes = Buffer.concat([titled ? title : Buffer.alloc(0), rest]);
      try {
        const out = read(bytes, cuts).reduce((sum, each) => sum + each.bytes.length, 0);
        return out <= bytes.length;
      } catch (error) {
        return (error as { code?: string }).code === 'blob.damaged';
      }
    }),
  );
});

test('frames come back as they were written, wherever they were cut on the way', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 10 }), sizes, (all, cuts) => {
      const plain = all.map((each) => ({ ...each, bytes: Buffer.from(each.bytes) }));
      expect(read(framed(all), cuts)).toEqual(plain);
    }),
  );
});

test('what is held does not grow with what a header promises: the bytes are a view of what came', () => {
  const reader = new FrameReader();
  const start = Buffer.alloc(frameHeaderBytes);
  writeHeader(start, 0, { t: 1, s: 1, length: frameBytesMax });
  const block = Buffer.concat([title, start, Buffer.from('begun')]);
  const [part] = reader.push(block);
  expect(part).toMatchObject({ t: 1, s: 1, isLast: false });
  expect(part?.bytes.buffer).toBe(block.buffer);
  expect(Buffer.from(part?.bytes ?? []).toString()).toBe('begun');
});

test('nothing is an output of nothing', () => {
  expect(new FrameReader().push(new Uint8Array())).toEqual([]);
});
