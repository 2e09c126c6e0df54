import { lstat, open } from 'node:fs/promises';
import { join } from 'node:path';
import { BadTar, readTar } from './tar.ts';

export const bundleNames = [
  'manifest.json',
  'records.jsonl',
  'proofs.jsonl',
  'checkpoint',
  'epochs.jsonl',
] as const;
export type BundleName = (typeof bundleNames)[number];
export type BundleFiles = Record<BundleName, Buffer>;

/** A run has far less. */
const bytesMax = 256 * 1024 * 1024;

/** The files of an extract, out of a folder or a tar; or why they cannot be had. */
export async function readBundle(path: string): Promise<BundleFiles | string> {
  const isFolder = (await lstat(path)).isDirectory();
  let found: Map<string, Buffer>;
  try {
    found = isFolder ? await readFolder(path) : await readTar(path, new Set(bundleNames), bytesMax);
  } catch (error) {
    if (error instanceof BadTar) return error.message;
    throw error;
  }
  const missing = bundleNames.find((name) => !found.has(name));
  if (missing !== undefined) return `${missing} is not there`;
  return Object.fromEntries(found) as BundleFiles;
}

async function readFolder(path: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (const name of bundleNames) {
    const info = await lstat(join(path, name)).catch(() => undefined);
    if (info?.isFile() !== true) continue;
    if (info.size > bytesMax) throw new BadTar('a file is too long');
    await using file = await open(join(path, name), 'r');
    found.set(name, await file.readFile());
  }
  return found;
}
