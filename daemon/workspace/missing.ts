import { lstatSync } from 'node:fs';
import type { Digest } from '#contract/ids.ts';
import { blobPath, blobVariants } from '../artifacts/blob-path.ts';

/** Which of these are not there in any variant; each is named once. */
export function missingBlobs(blobsDir: string, digests: readonly Digest[]): Digest[] {
  return [...new Set(digests)].filter((digest) =>
    blobVariants.every(
      (variant) =>
        lstatSync(blobPath(blobsDir, digest, variant), { throwIfNoEntry: false }) === undefined,
    ),
  );
}
