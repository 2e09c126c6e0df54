import type { Digest } from '#contract/ids.ts';

/**
 * One content, up to three files: `''` is the daemon's own, `.f` and `.x` are plain and executable
 * files owned by the sandbox user, so that a snapshot tree can be hard links to them.
 */
export const blobVariants = ['', '.f', '.x'] as const;
export type BlobVariant = (typeof blobVariants)[number];

export function blobPath(directory: string, digest: Digest, variant: BlobVariant = ''): string {
  const hex = digest.slice('sha256:'.length);
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new TypeError('not a digest');
  return `${directory}/${hex.slice(0, 2)}/${hex}${variant}`;
}
