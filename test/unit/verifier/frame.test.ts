import * as fc from 'fast-check';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { frameFile } from '#verifier/frame.ts';
import { tempDir } from '../audit/fixture.ts';

test('lines are what stands between line feeds, whatever the size of the chunks', async () => {
  await using temp = await tempDir();
  const path = join(temp.path, 'file');
  const byte = fc.oneof(
    fc.constant(10),
    fc.constant(13),
    fc.constant(0),
    fc.integer({ max: 255, min: 0 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(byte, { maxLength: 200 }),
      fc.integer({ min: 1, max: 40 }),
      fc.nat({ max: 60 }),
      async (content, chunkBytes, lineBytesMax) => {
        const bytes = Buffer.from(content);
        await writeFile(path, bytes);
        const lines: string[] = [];
        const framed = await frameFile(
          path,
          (buffer, start, end, offset) => {
            const line = buffer.toString('latin1', start, end);
            expect(bytes.toString('latin1', offset, offset + line.length)).toBe(line);
            // The byte before belongs to the callee.
            buffer[start - 1] = 0;
            lines.push(line);
            return true;
          },
          { chunkBytes, lineBytesMax },
        );
        const pieces = bytes.toString('latin1').split('\n');
        const complete = pieces.slice(0, -1);
        const tooLong = complete.findIndex((line) => line.length > lineBytesMax);
        const wanted = tooLong === -1 ? complete : complete.slice(0, tooLong);
        const end = wanted.reduce((sum, line) => sum + line.length + 1, 0);
        expect(lines).toEqual(wanted);
        expect(framed.end).toBe(end);
        expect(framed.oversize).toBe(tooLong === -1 ? undefined : end);
        expect(framed.tail).toBe(tooLong === -1 ? bytes.length - end : 0);
      },
    ),
    { numRuns: 300 },
  );
});

test('a reader can begin in the middle and stop where it wants', async () => {
  await using temp = await tempDir();
  const path = join(temp.path, 'file');
  await writeFile(path, 'one\ntwo\nthree\nfour\n');
  const lines: string[] = [];
  const framed = await frameFile(
    path,
    (buffer, start, end) => {
      if (lines.length === 2) return false;
      lines.push(buffer.toString('latin1', start, end));
      return true;
    },
    { from: 4, lineBytesMax: 100 },
  );
  expect(lines).toEqual(['two', 'three']);
  expect(framed.end).toBe(14);
});
