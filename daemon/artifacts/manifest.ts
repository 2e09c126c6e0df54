import { z } from 'zod';
import { type FileEntry, TreeEntry } from '#contract/snapshot.ts';

/** What a directory artifact's blob holds: directories and files, parents first, no links. */
export type ArtifactManifest = { v: 1; entries: ({ type: 'dir'; path: string } | FileEntry)[] };

export function isArtifactManifest(value: unknown): value is ArtifactManifest {
  const parsed = z.strictObject({ v: z.literal(1), entries: z.array(TreeEntry) }).safeParse(value);
  return parsed.success && parsed.data.entries.every((entry) => entry.type !== 'symlink');
}
