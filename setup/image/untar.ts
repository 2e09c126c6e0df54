import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';

export type Unpacked = {
  name: string;
  type: 'file' | 'symlink';
  executable: boolean;
  target: string;
  content: Buffer;
};

const totalMax = 512 * 1024 * 1024;

/** The files and symlinks of a tar (gzip or not) that `wanted` names, in memory, at most 512 MiB. */
export async function untar(bytes: Buffer, wanted: (name: string) => boolean): Promise<Unpacked[]> {
  const found: Unpacked[] = [];
  let total = 0;
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  // In pieces: one write of the whole would keep the tar parser's copy of it as well.
  const source = Readable.from(pieces(bytes), { objectMode: false });
  const archive = (isGzip ? source.pipe(createGunzip()) : source).pipe(extract());
  for await (const entry of archive) {
    const { name: raw, type, mode, linkname } = entry.header;
    const name = raw.replace(/^\.\//, '');
    const isWanted = (type === 'file' || type === 'symlink') && wanted(name);
    const chunks: Buffer[] = [];
    for await (const chunk of entry as AsyncIterable<Buffer>) {
      if (!isWanted) continue;
      total += chunk.length;
      if (total > totalMax) throw new Error(`more than ${totalMax} bytes unpacked`);
      chunks.push(chunk);
    }
    if (!isWanted) continue;
    found.push({
      name,
      type,
      executable: ((mode ?? 0) & 0o100) !== 0,
      target: linkname ?? '',
      content: Buffer.concat(chunks),
    });
  }
  return found;
}

function* pieces(bytes: Buffer): Generator<Buffer> {
  const size = 1024 * 1024;
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
