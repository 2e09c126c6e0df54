import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack, type Pack } from 'tar-stream';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { FileEntry } from '#contract/snapshot.ts';
import type { BlobStore } from './blobs.ts';
import { isArtifactManifest } from './manifest.ts';

const manifestBytesMax = 256 << 20;
const mtime = new Date('2000-01-01T00:00:00Z');

/**
 * A directory artifact as a tar stream: the same bytes each time, and nothing in it that an
 * unpacking tool could be led astray by (relative names, plain files and directories, no owner).
 */
export async function artifactTar(blobs: BlobStore, digest: Digest): Promise<Readable> {
  const manifest: unknown = JSON.parse(
    (await blobs.read(digest, { maxBytes: manifestBytesMax })).toString('utf8'),
  );
  if (!isArtifactManifest(manifest)) {
    throw new OrchestraError('blob.damaged', `Blob ${digest} is not the manifest of a directory`);
  }
  const tar = pack();
  fill(tar, blobs, manifest.entries).catch((cause: unknown) => tar.destroy(cause as Error));
  return tar as unknown as Readable;
}

async function fill(
  tar: Pack,
  blobs: BlobStore,
  entries: readonly ({ type: 'dir'; path: string } | FileEntry)[],
): Promise<void> {
  for (const entry of entries) {
    if (entry.type === 'dir') {
      tar.entry({ name: `${entry.path}/`, type: 'directory', mode: 0o755, mtime });
      continue;
    }
    const { path: name, bytes: size, executable } = entry;
    const sink = tar.entry({ name, size, mode: executable ? 0o755 : 0o644, mtime });
    await pipeline(await blobs.open(entry.digest), sink);
  }
  tar.finalize();
}
