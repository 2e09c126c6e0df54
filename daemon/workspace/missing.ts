import type { Digest } from '#contract/ids.ts';
import { blobPath, blobVariants } from '../artifacts/blob-path.ts';
import { freshenSync } from '../artifacts/freshen.ts';

/** Which of these are not there in any variant; each is named once. The others stay for a while. */
export function missingBlobs(blobsDir: string, digests: readonly Digest[]): Digest[] {
  return [...new Set(digests)].filter((digest) =>
    blobVariants.every((variant) => !freshenSync(blobPath(blobsDir, digest, variant))),
  );
}
