import { createWriteStream } from 'node:fs';
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { makeArchive } from '#setup/image/archive.ts';
import { describeImage } from '#setup/image/description.ts';
import { npmPackagesIn, readImageArchive } from '#setup/image/read-archive.ts';
import { assembleImage } from '#setup/image/recipe.ts';
import type { SbomParts } from './sbom.ts';

export type ImageArchiveFile = SbomParts['image'] & { origin: 'assembled' | 'saved' };

/** The sandbox image as `orchestra image build` makes it, without an engine. */
export async function assembledArchive(file: string, cacheDir: string): Promise<ImageArchiveFile> {
  const image = describeImage();
  const cpu = process.arch === 'x64' ? 'x64' : 'arm64';
  const layerFile = `${file}.layer`;
  await mkdir(cacheDir, { recursive: true });
  try {
    const say = (line: string) => process.stderr.write(`${line}\n`);
    const assembled = await assembleImage(image, cpu, cacheDir, say);
    const { name: user } = image.user;
    const archive = await makeArchive(assembled, { cpu, user, tag: image.fallback, layerFile });
    await pipeline(archive.stream(), createWriteStream(file));
    const { id, layers } = await readImageArchive(file);
    return {
      id,
      tag: image.fallback,
      origin: 'assembled',
      inputs: assembled.inputs,
      npm: await npmPackagesIn(file, layers),
    };
  } finally {
    await rm(layerFile, { force: true });
  }
}

/** One that `docker save REFERENCE` wrote on a machine that could pull it. */
export async function savedArchive(file: string, from: string): Promise<ImageArchiveFile> {
  await copyFile(from, file);
  const { id, tags, layers } = await readImageArchive(file);
  const [tag] = tags;
  if (tag === undefined) throw new Error(`${from} names no image: docker save REFERENCE`);
  return { id, tag, origin: 'saved', inputs: [], npm: await npmPackagesIn(file, layers) };
}
