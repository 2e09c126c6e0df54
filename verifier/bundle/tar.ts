import { open } from 'node:fs/promises';

const block = 512;
const entriesMax = 64;

export class BadTar extends Error {}

/**
 * The named files out of a ustar archive, and nothing else of it. Whatever is not a plain file in
 * the plainest form is no bundle: nothing is ever unpacked, so there is nothing to escape from.
 */
export async function readTar(
  path: string,
  wanted: ReadonlySet<string>,
  bytesMax: number,
): Promise<Map<string, Buffer>> {
  await using file = await open(path, 'r');
  const { size: total } = await file.stat();
  const found = new Map<string, Buffer>();
  const header = Buffer.alloc(block);
  let at = 0;
  for (let entries = 0; ; entries += 1) {
    if (entries > entriesMax) throw new BadTar('the archive has too many entries');
    const { bytesRead } = await file.read(header, 0, block, at);
    if (bytesRead < block) throw new BadTar('the archive has no end');
    if (header.every((byte) => byte === 0)) return found;
    const { name, size } = parseHeader(header);
    at += block;
    if (at + size > total) throw new BadTar('the archive is cut short');
    if (wanted.has(name)) {
      if (found.has(name)) throw new BadTar('a file is there twice');
      if (size > bytesMax) throw new BadTar('a file is too long');
      const bytes = Buffer.alloc(size);
      await file.read(bytes, 0, size, at);
      found.set(name, bytes);
    }
    at += Math.ceil(size / block) * block;
  }
}

function parseHeader(header: Buffer): { name: string; size: number } {
  const sum = header.reduce((all, byte, at) => all + (at >= 148 && at < 156 ? 32 : byte), 0);
  if (octal(header, 148, 8) !== sum) throw new BadTar('a header has another checksum');
  if (header.toString('latin1', 257, 262) !== 'ustar') throw new BadTar('a header is not ustar');
  const kind = header[156];
  if (kind !== 0x30 && kind !== 0) throw new BadTar('an entry is no plain file');
  const size = octal(header, 124, 12);
  if (size === undefined) throw new BadTar('an entry has no size');
  const text = (from: number, length: number) => {
    const field = header.subarray(from, from + length);
    const end = field.indexOf(0);
    return field.toString('latin1', 0, end === -1 ? length : end);
  };
  return { name: text(345, 155) === '' ? text(0, 100) : '', size };
}

function octal(header: Buffer, from: number, length: number): number | undefined {
  const match = /^ *([0-7]{1,11})[ \0]*$/.exec(header.toString('latin1', from, from + length));
  return match === null ? undefined : Number.parseInt(match[1] ?? '', 8);
}
