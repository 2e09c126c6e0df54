import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { pack, type Header } from 'tar-stream';
import type { BundleManifest } from '#contract/bundle.ts';
import { finishBundle } from '#packaging/bundle/build.ts';
import { readImageArchive } from '#setup/image/read-archive.ts';

const root = new URL('../..', import.meta.url).pathname;
export const releaseKey = generateKeyPairSync('ed25519');
export const releasePem = releaseKey.publicKey.export({ type: 'spki', format: 'pem' }).toString();
export const packageName = 'orchestra_9.9.9_amd64.deb';

type Entry = Partial<Header> & { name: string; content?: string | Buffer };

/** A tar of exactly these entries, in this order, however odd. */
export async function writeTar(file: string, entries: readonly Entry[]): Promise<void> {
  const archive = pack();
  const writing = pipeline(archive, createWriteStream(file));
  for (const { content = '', ...header } of entries)
    archive.entry({ mtime: new Date(0), ...header }, content);
  archive.finalize();
  await writing;
}

/** A docker-archive whose only layer holds these bytes, under the digests that they have. */
export async function writeImage(file: string, layer: Buffer): Promise<void> {
  const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex');
  const config = JSON.stringify({
    rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(layer)}`] },
  });
  const name = `${sha256(config)}.json`;
  const manifest = [{ Config: name, RepoTags: ['orchestra/tiny:1'], Layers: ['layer.tar'] }];
  await writeTar(file, [
    { name, content: config },
    { name: 'layer.tar', content: layer },
    { name: 'manifest.json', content: JSON.stringify(manifest) },
  ]);
}

/** A package with a file and a script that installs it. */
export function writePackage(file: string, content = 'a program\n'): void {
  const stage = `${file}.stage`;
  mkdirSync(path.join(stage, 'DEBIAN'), { recursive: true });
  mkdirSync(path.join(stage, 'usr/bin'), { recursive: true });
  writeFileSync(path.join(stage, 'usr/bin/orchestra'), content);
  writeFileSync(path.join(stage, 'DEBIAN/postinst'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(
    path.join(stage, 'DEBIAN/control'),
    'Package: orchestra\nVersion: 9.9.9\nArchitecture: amd64\nMaintainer: none <n@n.invalid>\nDescription: none\n',
  );
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zgzip', '--build', stage, file], {
    stdio: 'ignore',
    env: { ...process.env, SOURCE_DATE_EPOCH: '0' },
  });
  execFileSync('rm', ['-r', stage]);
}

/** A whole bundle with a tiny package and a tiny image, signed with `releaseKey` unless not. */
export async function sampleBundle(dir: string, isSigned = true): Promise<void> {
  mkdirSync(dir, { recursive: true });
  const image = path.join(dir, 'image.tar');
  await writeImage(image, Buffer.alloc(1024));
  const { id } = await readImageArchive(image);
  writePackage(path.join(dir, packageName));
  const manifest: BundleManifest = {
    format: 'orchestra-bundle/1',
    version: '9.9.9',
    architecture: 'amd64',
    made: '2026-01-01T00:00:00.000Z',
    package: packageName,
    image: { id, tag: 'orchestra/tiny:1', origin: 'assembled' },
  };
  await finishBundle(dir, {
    root,
    manifest,
    image: { id, tag: 'orchestra/tiny:1', inputs: [], npm: [] },
    key: isSigned ? releaseKey.privateKey : undefined,
  });
}
