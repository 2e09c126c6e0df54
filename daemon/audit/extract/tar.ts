import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';
import { pack, type Pack } from 'tar-stream';
import { OrchestraError } from '#contract/errors.ts';

export type BundleFile = {
  name: string;
  bytes: number;
  content: Iterable<Buffer> | AsyncIterable<Buffer>;
};

/**
 * Files as a tar, made while it is read; nothing is held but a block. The manifest comes last, since
 * it names the digests of all the others. A file that turns out to have another length than was said
 * ends the stream with an error.
 */
export function bundleTar(
  files: readonly BundleFile[],
  manifest: (files: Record<string, string>) => string,
): Readable {
  const tar = pack();
  fill(tar, files, manifest).catch((cause: unknown) => tar.destroy(cause as Error));
  return tar as unknown as Readable;
}

async function fill(
  tar: Pack,
  files: readonly BundleFile[],
  manifest: (files: Record<string, string>) => string,
): Promise<void> {
  const digests: Record<string, string> = {};
  for (const file of files) {
    const digest = createHash('sha256');
    await add(tar, { ...file, content: hashed(file, digest) });
    digests[file.name] = digest.digest('hex');
  }
  const text = Buffer.from(manifest(digests));
  await add(tar, { name: 'manifest.json', bytes: text.length, content: [text] });
  tar.finalize();
}

async function add(tar: Pack, { name, bytes: size, content }: BundleFile): Promise<void> {
  // The same bytes each time: a fixed time, no owner.
  const sink = tar.entry({ name, size, mode: 0o644, mtime: new Date('2000-01-01T00:00:00Z') });
  await pipeline(Readable.from(content), sink);
}

async function* hashed(
  { name, bytes, content }: BundleFile,
  digest: ReturnType<typeof createHash>,
): AsyncGenerator<Buffer> {
  let left = bytes;
  for await (const block of content) {
    left -= block.length;
    digest.update(block);
    if (block.length > 0) yield block;
    await turn();
  }
  if (left !== 0) {
    throw new OrchestraError('internal.bug', `${name} has another length than was announced`);
  }
}
