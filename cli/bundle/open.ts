import { createReadStream, createWriteStream } from 'node:fs';
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { BundleName, bundleLimits } from '#contract/bundle.ts';
import { OrchestraError } from '#contract/errors.ts';

/** The files of a bundle by their names, each a plain file that lies flat in one folder. */
export type OpenBundle = AsyncDisposable & { files: ReadonlyMap<string, string> };

/** A folder as it lies there, or a tar unpacked beside nothing else. Throws `bundle.broken`. */
export async function openBundle(target: string): Promise<OpenBundle> {
  const found = await lstat(target).catch((cause: unknown) => {
    throw new OrchestraError('usage.invalid', `${target} cannot be read`, { cause });
  });
  if (found.isDirectory()) return openFolder(target);
  if (found.isFile()) return openTar(target);
  throw new OrchestraError('usage.invalid', `${target} is neither a folder nor a file`);
}

async function openFolder(dir: string): Promise<OpenBundle> {
  const files = new Map<string, string>();
  let bytes = 0;
  for (const name of await readdir(dir)) {
    const file = path.join(dir, admitted(name, files));
    const { size, ...about } = await lstat(file).then((stat) => ({
      size: stat.size,
      isFile: stat.isFile(),
    }));
    if (!about.isFile) throw broken(`${shown(name)} is no file`);
    bytes += size;
    if (bytes > bundleLimits.bytes) throw broken('it is larger than any bundle');
    files.set(name, file);
  }
  return { files, [Symbol.asyncDispose]: () => Promise.resolve() };
}

async function openTar(file: string): Promise<OpenBundle> {
  const dir = await mkdtemp(path.join(process.env['TMPDIR'] ?? tmpdir(), 'orchestra-bundle-'));
  const dispose = async () => rm(dir, { recursive: true, force: true });
  try {
    const files = await unpack(createReadStream(file), dir);
    return { files, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    if (error instanceof OrchestraError) throw error;
    throw broken(`it is no tar: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function unpack(source: Readable, dir: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const archive = extract();
  let bytes = 0;
  const reading = (async () => {
    for await (const entry of archive) {
      const { name: raw, type, size } = entry.header;
      const name = admitted(raw, files);
      if (type !== 'file') throw broken(`${shown(name)} is no file`);
      bytes += size;
      if (bytes > bundleLimits.bytes) throw broken('it is larger than any bundle');
      const to = path.join(dir, name);
      await pipeline(entry, createWriteStream(to, { flags: 'wx', mode: 0o600 }));
      files.set(name, to);
    }
  })();
  const [read, fed] = await Promise.allSettled([reading, pipeline(source, archive)]);
  if (read.status === 'rejected') throw read.reason;
  if (fed.status === 'rejected') throw fed.reason;
  return files;
}

/** Before anything is written or opened under it. */
function admitted(name: string, files: ReadonlyMap<string, string>): string {
  if (!BundleName.safeParse(name).success) throw broken(`${shown(name)} is no name for a file`);
  if (files.has(name)) throw broken(`${shown(name)} is there twice`);
  if (files.size >= bundleLimits.files)
    throw broken(`it has more than ${bundleLimits.files} files`);
  return name;
}

export function broken(why: string): OrchestraError {
  return new OrchestraError('bundle.broken', `This is no sound bundle: ${why}`, {
    hint: 'install nothing from it; get it again, and its key by another way',
  });
}

export function shown(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}
