import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import { isArtifactManifest } from '../../artifacts/manifest.ts';
import type { Workspace } from '../../workspace/open.ts';
import type { CheckedBlob } from '../../workspace/intact.ts';
import type { Reused } from '../kept.ts';

type Deps = { workspace: Pick<Workspace, 'layers' | 'blobs' | 'intact'> };

const manifestBytesMax = 256 * 1024 * 1024;

/**
 * Whether all that a task left is there and still is what the log says: its layer, its output, its
 * artifacts to the last file. `undefined` where it is, else why it does not count, in words. What is
 * damaged is put aside, so that the task can leave the same again.
 *
 * Bytes are read once in the life of the daemon, and again where a file was written to.
 */
export async function brokenPart(
  { workspace }: Deps,
  reused: Pick<Reused, 'layer' | 'output' | 'artifacts'>,
  signal?: AbortSignal,
): Promise<string | undefined> {
  try {
    const layer = await workspace.layers.check(reused.layer, signal);
    if (layer.state === 'missing') return 'its layer is gone';
    if (layer.state === 'damaged') {
      workspace.layers.putAside(reused.layer);
      return `its layer is damaged at ${JSON.stringify(layer.path)}`;
    }
    if (reused.output !== undefined) {
      const bytes = await workspace.blobs.size(reused.output);
      const output = [{ digest: reused.output, ...(bytes === undefined ? {} : { bytes }) }];
      const { state } = await workspace.intact.check(reused.output, output, signal);
      if (state !== 'sound') return `its output is ${wordFor(state)}`;
    }
    for (const artifact of reused.artifacts) {
      const word = await brokenArtifact(workspace, artifact, signal);
      if (word !== undefined) return `its artifact ${artifact.name} is ${word}`;
    }
    return undefined;
  } catch (error) {
    signal?.throwIfAborted();
    // A disk that cannot be read must not end a task that can still run.
    if (error instanceof OrchestraError) return error.message;
    const { code } = error as NodeJS.ErrnoException;
    if (typeof code === 'string') return `what it left cannot be read (${code})`;
    throw error;
  }
}

async function brokenArtifact(
  { blobs, intact }: Deps['workspace'],
  { sha256, kind, bytes }: Reused['artifacts'][number],
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const digest: Digest = `sha256:${sha256}`;
  const size = kind === 'file' ? bytes : await blobs.size(digest);
  if (size === undefined) return 'gone';
  const { state } = await intact.check(digest, [{ digest, bytes: size }], signal);
  if (state !== 'sound') return wordFor(state);
  if (kind === 'file') return undefined;
  const content = await blobs.read(digest, { maxBytes: manifestBytesMax });
  const manifest: unknown = JSON.parse(content.toString('utf8'));
  if (!isArtifactManifest(manifest)) return 'not a list of files';
  const files = manifest.entries.flatMap((entry): CheckedBlob[] =>
    entry.type === 'file' ? [{ digest: entry.digest, bytes: entry.bytes }] : [],
  );
  // A group of its own, beside that of the list itself.
  const answer = await intact.check(contentKey(digest), files, signal);
  return answer.state === 'sound' ? undefined : `${wordFor(answer.state)} in part`;
}

function contentKey(manifest: Digest): Digest {
  return `${manifest}/`;
}

function wordFor(state: 'missing' | 'damaged'): string {
  return state === 'missing' ? 'gone' : 'damaged';
}
