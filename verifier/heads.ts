import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Head } from './verdict.ts';

export const headsName = 'heads.jsonl';

export type Heads = {
  /** The newest complete line, undefined where there is none. */
  newest: Head | undefined;
  /** Offset behind the last line feed: a torn tail follows it and may be cut. */
  end: number;
  bytes: number;
};

// Lines have about 100 bytes, and only the newest counts.
const windowBytes = 4_096;

/**
 * The newest head that was noted in a log's folder, or undefined where there is no such file.
 * A torn last line is tolerated, since a crash leaves one; a complete line that is no head throws.
 */
export async function readHeads(dir: string): Promise<Heads | undefined> {
  let file;
  try {
    file = await open(join(dir, headsName), 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { size } = await file.stat();
    const from = Math.max(0, size - windowBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
    const window = buffer.subarray(0, bytesRead);
    const feed = window.lastIndexOf(10);
    if (feed === -1) {
      if (from > 0) throw new Error('a line is too long to be a head');
      return { newest: undefined, end: 0, bytes: size };
    }
    const start = feed === 0 ? 0 : window.lastIndexOf(10, feed - 1) + 1;
    const newest = parseHead(window.toString('latin1', start, feed));
    return { newest, end: from + feed + 1, bytes: size };
  } finally {
    await file.close();
  }
}

export function headLine(head: Head): string {
  return `{"hash":"${head.hash}","size":${head.size}}\n`;
}

function parseHead(line: string): Head {
  const match = /^\{"hash":"([0-9a-f]{64})","size":(\d{1,16})\}$/.exec(line);
  if (match === null) throw new Error('the newest line is no head');
  return { hash: match[1] ?? '', size: Number(match[2]) };
}
