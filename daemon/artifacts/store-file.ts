import { createHash, hash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '#contract/ids.ts';
import { blobPath } from './blob-path.ts';

export type StoreOptions = {
  fd: number;
  /** Where the same file may be hard-linked from, if it will never be written again. */
  link?: string | Buffer;
  /** A digest that is stored already; nothing is written when the file turns out to be that. */
  known?: Digest | undefined;
};

const blockBytes = 1 << 20;

/** Hashes an open file from its start and takes its content into the blobs. */
export function storeFile(blobs: string, { fd, link, known }: StoreOptions): Digest {
  if (link !== undefined) {
    const digest = hashFile(fd);
    if (digest !== known) linkIn(blobs, digest, link, fd);
    return digest;
  }
  return copyIn(blobs, fd);
}

/** The same for bytes at hand. */
export function storeBytes(blobs: string, content: Uint8Array): Digest {
  const digest: Digest = `sha256:${hash('sha256', content, 'hex')}`;
  const path = blobPath(blobs, digest);
  const temp = join(blobs, 'tmp', randomBytes(8).toString('hex'));
  fs.writeFileSync(temp, content, { flag: 'wx', mode: 0o600, flush: true });
  fs.mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
  fs.renameSync(temp, path);
  return digest;
}

function linkIn(blobs: string, digest: Digest, link: string | Buffer, fd: number): void {
  const path = blobPath(blobs, digest);
  try {
    fs.linkSync(link, path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code === 'ENOENT') {
      fs.mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
      linkIn(blobs, digest, link, fd);
    } else copyIn(blobs, fd);
  }
}

function copyIn(blobs: string, fd: number): Digest {
  const temp = join(blobs, 'tmp', randomBytes(8).toString('hex'));
  const out = fs.openSync(temp, 'wx', 0o600);
  try {
    const digest = hashFile(fd, (block) => {
      for (let at = 0; at < block.length;) at += fs.writeSync(out, block, at);
    });
    const path = blobPath(blobs, digest);
    if (fs.existsSync(path)) return digest;
    fs.fsyncSync(out);
    fs.mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
    fs.renameSync(temp, path);
    return digest;
  } finally {
    fs.closeSync(out);
    fs.rmSync(temp, { force: true });
  }
}

/** Positioned reads: the descriptor's own place does not matter and does not move. */
function hashFile(fd: number, each?: (block: Buffer) => void): Digest {
  const { size } = fs.fstatSync(fd);
  const block = Buffer.allocUnsafe(Math.min(blockBytes, size + 1));
  const first = fs.readSync(fd, block, 0, block.length, 0);
  if (first < block.length) {
    const whole = block.subarray(0, first);
    each?.(whole);
    return `sha256:${hash('sha256', whole, 'hex')}`;
  }
  const hasher = createHash('sha256');
  for (let at = 0, got = first; got > 0;) {
    const part = block.subarray(0, got);
    hasher.update(part);
    each?.(part);
    at += got;
    got = fs.readSync(fd, block, 0, block.length, at);
  }
  return `sha256:${hasher.digest('hex')}`;
}
