import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { pack } from 'tar-stream';
import type { Assembled } from './recipe.ts';

export type ImageArchive = {
  /** What the engine will call the image: the digest of its configuration. */
  id: string;
  /** A docker-archive, to be read once. */
  stream: () => Readable;
};

/**
 * Makes a docker-archive with one layer. Nothing in it depends on when or where it is made, so the
 * same tree has the same image ID on every engine. The layer is kept in `layerFile` meanwhile.
 */
export async function makeArchive(
  { tree, labels, env }: Omit<Assembled, 'inputs'>,
  {
    cpu,
    user,
    tag,
    layerFile,
  }: { cpu: 'x64' | 'arm64'; user: string; tag: string; layerFile: string },
): Promise<ImageArchive> {
  const hash = createHash('sha256');
  const through = new PassThrough();
  through.on('data', (chunk: Buffer) => hash.update(chunk));
  await Promise.all([
    tree.write(through),
    pipeline(through, createWriteStream(layerFile, { mode: 0o600 })),
  ]);
  const epoch = '1970-01-01T00:00:00Z';
  const config = JSON.stringify({
    architecture: cpu === 'x64' ? 'amd64' : 'arm64',
    os: 'linux',
    created: epoch,
    config: { User: user, Env: env, Cmd: ['node'], WorkingDir: '/', Labels: labels },
    rootfs: { type: 'layers', diff_ids: [`sha256:${hash.digest('hex')}`] },
    history: [{ created: epoch, created_by: 'orchestra: assembled from npm and Debian packages' }],
  });
  const digest = createHash('sha256').update(config).digest('hex');
  const manifest = JSON.stringify([
    { Config: `${digest}.json`, RepoTags: [tag], Layers: ['layer.tar'] },
  ]);
  const size = (await stat(layerFile)).size;
  return {
    id: `sha256:${digest}`,
    stream: () => {
      const archive = pack();
      const feed = async () => {
        archive.entry({ name: `${digest}.json`, mtime: new Date(0) }, config);
        await pipeline(
          createReadStream(layerFile),
          archive.entry({ name: 'layer.tar', size, mtime: new Date(0) }),
        );
        archive.entry({ name: 'manifest.json', mtime: new Date(0) }, manifest);
        archive.finalize();
      };
      feed().catch((error: unknown) => archive.destroy(error as Error));
      return archive as unknown as Readable;
    },
  };
}
