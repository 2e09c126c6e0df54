import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, mkdir, open, rm, rmdir, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFile } from '../make-file.ts';

/** Makes a folder that only we may enter; what is made is durable. */
export async function ownFolder(path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true, mode: 0o700 });
  if (made !== undefined) await syncFolder(dirname(made));
}

/** A new file with this content, durable with its name. Throws where there is one. */
export async function writeNew(path: string, content: Uint8Array): Promise<void> {
  if (await makeFile(path, content)) return;
  throw Object.assign(new Error(`${path} is there already`), { code: 'EEXIST' });
}

/** Not through a link. */
export function openOwn(path: string, flags: number): Promise<FileHandle> {
  return open(path, flags | constants.O_NOFOLLOW, 0o600);
}

/** Overwritten, then removed, the name durably gone. Safe to repeat. */
export async function destroyFile(path: string): Promise<void> {
  const info = await lstat(path).catch(absent);
  if (info === undefined) return;
  if (info.isFile()) {
    await using file = await openOwn(path, constants.O_WRONLY);
    await file.write(randomBytes(info.size), 0, info.size, 0);
    await file.sync();
  }
  await rm(path, { force: true });
  await syncFolder(dirname(path));
}

/** A folder and the files in it; they were encrypted. Safe to repeat. */
export async function removeFolder(path: string, files: readonly string[]): Promise<void> {
  for (const file of files) await rm(file, { force: true });
  await rmdir(path).catch(absent);
  await syncFolder(dirname(path)).catch(absent);
}

/** A name is as durable as the folder that it stands in. */
export async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  await folder.sync();
}

export function absent(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
  throw error;
}
