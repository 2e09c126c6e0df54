import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashBytes } from './tlog/merkle.ts';

const tileBytes = 256 * hashBytes;

/** Where a full tile lies in a log's folder: C2SP tlog-tiles. */
export function tileName(level: number, index: number): string {
  let path = String(index % 1000).padStart(3, '0');
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, '0')}/${path}`;
  }
  return `tile/${level}/${path}`;
}

/** The bytes of a tile, undefined where there is none. */
export function readTile(dir: string, level: number, index: number): Buffer | undefined {
  try {
    const bytes = readFileSync(join(dir, tileName(level, index)));
    return bytes.length > tileBytes ? bytes.subarray(0, tileBytes + 1) : bytes;
  } catch {
    return undefined;
  }
}

/** Leaf hashes, in hex, of the records before `end`, out of full tiles; ends early where one is missing. */
export function* leavesBefore(dir: string, end: number): Generator<string> {
  for (let seq = 0; seq < end;) {
    const tile = readTile(dir, 0, Math.floor(seq / 256));
    if (tile?.length !== tileBytes) return;
    do {
      const at = (seq % 256) * hashBytes;
      yield tile.toString('hex', at, at + hashBytes);
      seq += 1;
    } while (seq < end && seq % 256 !== 0);
  }
}
