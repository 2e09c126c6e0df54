import * as fs from 'node:fs';
import type { Digest } from '#contract/ids.ts';
import { blobPath, type BlobVariant, blobVariants } from '../artifacts/blob-path.ts';
import { freshenSync } from '../artifacts/freshen.ts';
import { hashFile } from '../artifacts/store-file.ts';
import { Stamp } from './check-layer.ts';
import type { Operations } from './operations.ts';

/** `digest` is the first that is not there, or not what it was. */
export type BlobCheck =
  { state: 'sound'; stamp: string } | { state: 'missing' | 'damaged'; digest: Digest };

const blockBytes = 256 << 10;

/**
 * Whether blobs are there and still are what their digests say. Where all of them are those of an
 * earlier check - its stamp - their bytes are not read again. The file of a damaged one is removed,
 * so that the same content can be put again; what is sound stays for a while.
 */
export function checkBlobs({
  blobsDir,
  blobs,
  stamp: known,
}: Operations['checkBlobs']['args']): BlobCheck {
  const stamp = new Stamp();
  const found: { digest: Digest; path: string }[] = [];
  for (const { digest, bytes } of blobs) {
    const file = fileOf(blobsDir, digest);
    if (file === undefined) return { state: 'missing', digest };
    if (bytes !== undefined && file.stat.size !== bytes) return thrownAway(file.path, digest);
    stamp.add(file.path, file.stat);
    found.push({ digest, path: file.path });
  }
  const value = stamp.value();
  if (value !== known) {
    const block = Buffer.allocUnsafeSlow(blockBytes);
    for (const { digest, path } of found) {
      if (digestOf(path, block) !== digest) return thrownAway(path, digest);
    }
  }
  for (const { digest, path } of found) {
    if (!freshenSync(path)) return { state: 'missing', digest };
  }
  return { state: 'sound', stamp: value };
}

function fileOf(blobsDir: string, digest: Digest): { path: string; stat: fs.Stats } | undefined {
  for (const variant of blobVariants satisfies readonly BlobVariant[]) {
    const path = blobPath(blobsDir, digest, variant);
    const stat = fs.lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isFile() === true) return { path, stat };
  }
  return undefined;
}

function thrownAway(path: string, digest: Digest): BlobCheck {
  fs.rmSync(path, { force: true });
  return { state: 'damaged', digest };
}

function digestOf(path: string, block: Buffer): Digest | undefined {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  const fd = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    return hashFile(fd, block);
  } finally {
    fs.closeSync(fd);
  }
}
