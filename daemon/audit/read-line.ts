import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { lineBytesMax } from '#verifier/limits.ts';
import { segmentName } from '#verifier/segments.ts';
import { lineOf } from './reader.ts';
import type { LogLine } from './types.ts';

/** The line at a place in a segment, hashed as it lies there; undefined where there is none. */
export async function readLine(
  dir: string,
  { segment, offset, length }: { segment: number; offset: number; length: number },
): Promise<LogLine | undefined> {
  if (length < 1 || length > lineBytesMax) return undefined;
  const buffer = Buffer.alloc(length + 2);
  await using file = await open(join(dir, 'segments', segmentName(segment)), 'r');
  const { bytesRead } = await file.read(buffer, 1, length + 1, offset);
  // The line feed is read as well: a line that goes on is another line.
  if (bytesRead !== length + 1 || buffer[length + 1] !== 10) return undefined;
  return lineOf(buffer, 1, length + 1, { segment, offset });
}
