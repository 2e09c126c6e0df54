import { createHash, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { pack } from 'tar-stream';
import { bundleFiles, bundleSeal, type BundleManifest } from '#contract/bundle.ts';
import { debFiles } from '#setup/deb-files.ts';
import { defaultPaths } from '#setup/paths.ts';
import { architecture, buildDeb, type DebOptions } from '../deb/build.ts';
import { epochOf, versionOf } from '../version.ts';
import { assembledArchive, savedArchive, type ImageArchiveFile } from './image.ts';
import { makeSbom, type SbomParts } from './sbom.ts';
import { installText, sumsText } from './texts.ts';

export type BundleOptions = Omit<DebOptions, 'out'> & {
  /** The folder that the bundle becomes; what is there is replaced. */
  out: string;
  /** Puts the image's archive at this path. */
  image: (file: string) => Promise<ImageArchiveFile>;
  /** Ed25519; the bundle is not signed without one. */
  key: KeyObject | undefined;
};

/**
 * Makes everything that a machine without a network needs: the package, the image, a list of what
 * is in them, checksums and their signature. The same sources and image make the same bytes.
 */
export async function buildBundle({ out, image: putImage, key, ...deb }: BundleOptions) {
  const partial = `${out}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  const at = (name: string) => path.join(partial, name);
  const { file } = await buildDeb({ ...deb, out: partial });
  await rm(`${file}.sha256`);
  const image = await putImage(at(bundleFiles.image));
  const manifest: BundleManifest = {
    format: 'orchestra-bundle/1',
    version: deb.version,
    architecture: architecture() === 'amd64' ? 'amd64' : 'arm64',
    made: new Date(deb.epoch * 1000).toISOString(),
    package: path.basename(file),
    image: { id: image.id, tag: image.tag, origin: image.origin },
  };
  await finishBundle(partial, { root: deb.root, manifest, image, key });
  await rm(out, { recursive: true, force: true });
  await rename(partial, out);
  return { dir: out, manifest };
}

/** Beside the package and the image that lie there already: what is in them, and the seal. */
export async function finishBundle(
  dir: string,
  parts: {
    root: string;
    manifest: BundleManifest;
    image: SbomParts['image'];
    key: KeyObject | undefined;
  },
): Promise<void> {
  const { root, manifest, image, key } = parts;
  const { version, architecture, made } = manifest;
  const files = await debFiles(path.join(dir, manifest.package));
  const sbom = makeSbom({ root, version, architecture, made, files, image });
  const texts = {
    [bundleFiles.sbom]: `${JSON.stringify(sbom, undefined, 1)}\n`,
    [bundleFiles.manifest]: `${JSON.stringify(manifest, undefined, 2)}\n`,
    [bundleFiles.install]: installText(manifest, key !== undefined),
  };
  for (const [name, text] of Object.entries(texts)) await writeFile(path.join(dir, name), text);
  await seal(dir, key);
}

async function seal(dir: string, key: KeyObject | undefined): Promise<void> {
  const sums = new Map<string, string>();
  for (const name of await readdir(dir)) sums.set(name, await sha256Of(path.join(dir, name)));
  const text = sumsText(sums);
  await writeFile(path.join(dir, bundleSeal.sums), text);
  if (key === undefined) return;
  await writeFile(path.join(dir, bundleSeal.signature), sign(null, Buffer.from(text), key));
  const pem = createPublicKey(key).export({ type: 'spki', format: 'pem' });
  await writeFile(path.join(dir, bundleSeal.key), pem);
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** The bundle as one file, again the same for the same. */
export async function packBundle(dir: string, epoch: number): Promise<string> {
  const file = `${dir}.tar`;
  const archive = pack();
  const writing = pipeline(archive, createWriteStream(file));
  for (const name of (await readdir(dir)).toSorted()) {
    const from = path.join(dir, name);
    const { size } = await stat(from);
    const header = { name, size, mode: 0o644, mtime: new Date(epoch * 1000) };
    await pipeline(createReadStream(from), archive.entry(header));
  }
  archive.finalize();
  await writing;
  return file;
}

async function signingKey(file: string): Promise<KeyObject> {
  const key = createPrivateKey(await readFile(file));
  if (key.asymmetricKeyType === 'ed25519') return key;
  throw new Error(`${file} is no Ed25519 key: openssl genpkey -algorithm ed25519 -out ${file}`);
}

if (import.meta.main) {
  const root = path.resolve(import.meta.dirname, '../..');
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: path.join(root, 'packages') },
      version: { type: 'string' },
      key: { type: 'string' },
      /** A docker-archive in place of the image that is assembled here. */
      image: { type: 'string' },
      tar: { type: 'boolean', default: false },
      gzip: { type: 'boolean', default: false },
    },
  });
  const version = values.version ?? versionOf(root);
  const epoch = epochOf(root);
  const { cacheDir } = defaultPaths(process.env, process.getuid?.() ?? -1);
  const { image } = values;
  const { dir, manifest } = await buildBundle({
    root,
    out: path.join(values.out, `orchestra-bundle-${version}-${architecture()}`),
    version,
    epoch,
    compression: values.gzip ? 'gzip' : 'xz',
    image: async (file) =>
      image === undefined ? assembledArchive(file, cacheDir) : savedArchive(file, image),
    key: values.key === undefined ? undefined : await signingKey(values.key),
  });
  const made = values.tar ? await packBundle(dir, epoch) : dir;
  const signed = values.key === undefined ? 'not signed (--key FILE)' : 'signed';
  const sum = values.tar ? `${await sha256Of(made)}  ` : '';
  process.stdout.write(`${sum}${made}\n${manifest.image.id}  ${manifest.image.tag}\n${signed}\n`);
}
