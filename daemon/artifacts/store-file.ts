import { createHash, hash, randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '#contract/ids.ts';
import { blobPath } from './blob-path.ts';
import { freshenSync } from './freshen.ts';

const blockBytes = 1 << 20;

/** Hashes an open file from its start and copies its content into the blobs. */
export function storeFile(blobs: string, fd: number): Digest {
  const temp = join(blobs, 'tmp', randomBytes(8).toString('hex'));
  const out = fs.openSync(temp, 'wx', 0o600);
  try {
    const block = Buffer.allocUnsafe(Math.min(blockBytes, fs.fstatSync(fd).size + 1));
    const digest = hashFile(fd, block, (part) => {
      for (let at = 0; at < part.length;) at += fs.writeSync(out, part, at);
    });
    const path = blobPath(blobs, digest);
    if (freshenSync(path)) return digest;
    fs.fsyncSync(out);
    fs.mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
    fs.renameSync(temp, path);
    return digest;
  } finally {
    fs.closeSync(out);
    fs.rmSync(temp, { force: true });
  }
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

/**
 * Takes a file of a sealed layer, which is never written again, into the blobs by a hard link. Its
 * bytes are not read: whoever reads the blob hashes them. False when there is no such file.
 */
export function adoptFile(blobs: string, digest: Digest, source: string | Buffer): boolean {
  const path = blobPath(blobs, digest);
  try {
    fs.linkSync(source, path);
    return true;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'EEXIST') return freshenSync(path) || adoptFile(blobs, digest, source);
    if (code !== 'ENOENT') return copied(blobs, source);
    if (fs.existsSync(join(path, '..'))) return false;
    fs.mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
    return adoptFile(blobs, digest, source);
  }
}

/** A file may have only so many links, and some file systems know none. */
function copied(blobs: string, source: string | Buffer): boolean {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  const fd = fs.openSync(source, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    storeFile(blobs, fd);
    return true;
  } finally {
    fs.closeSync(fd);
  }
}

/**
 * The digest of an open file, read from its start through `block`, which must not be empty.
 * Positioned reads: the descriptor's own place does not matter and does not move.
 */
export function hashFile(fd: number, block: Buffer, each?: (part: Buffer) => void): Digest {
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
