import { join } from 'node:path';
import type { Digest } from '#contract/ids.ts';

/** `tree/` is the lower directory of an overlay, `manifest.json` says what is in it. */
export function snapshotDir(stateDir: string, digest: Digest): string {
  return join(stateDir, 'snapshots', hexOf(digest));
}

/** A link to the sealed layer's directory `l/<id>`. */
export function layerLink(stateDir: string, digest: Digest): string {
  return join(stateDir, 'layers', hexOf(digest));
}

function hexOf(digest: Digest): string {
  const hex = digest.slice('sha256:'.length);
  if (!/^[0-9a-f]{64}$/.test(hex)) throw new TypeError('not a digest');
  return hex;
}
