import type { Digest } from '#contract/ids.ts';
import type { LeftOut } from '#contract/snapshot.ts';

export type CollectRequest = {
  /** The task's view, uppermost first: its own upper directory, then the lower ones. */
  roots: readonly string[];
  outputs: readonly { name: string; path: string; required: boolean }[];
  limits: { filesMax: number; bytesMax: number; depthMax: number };
};

export type CollectedArtifact = {
  name: string;
  path: string;
  kind: 'file' | 'directory';
  /** Of the file, or of the directory's manifest (`ArtifactManifest`). Both are blobs. */
  digest: Digest;
  /** Of the content, for a directory of all its files together. */
  bytes: number;
  files: number;
  leftOut: LeftOut[];
};
export type RejectedArtifact = { name: string; path: string; required: boolean; reason: string };

export type Collected = {
  artifacts: CollectedArtifact[];
  /** Not there, a link on the way, a special file, too large: the reason in words. */
  rejected: RejectedArtifact[];
};
