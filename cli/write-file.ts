import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { lstat, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { OrchestraError } from '#contract/errors.ts';

export type WriteOptions = {
  hint?: string;
  /** It is on the disk when this answers: whoever loses power finds the old one or the new one. */
  durable?: boolean;
  /** 0644 if left out. */
  mode?: number;
};

/**
 * Writes a file whole or not at all: beside its place first, then renamed into it. A link at the
 * place is replaced, not followed. A pipe or a device is written into: whoever names /dev/null does
 * not want it replaced by a file.
 */
export async function writeFileFresh(
  file: string,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  { hint, durable = false, mode = 0o644 }: WriteOptions = {},
): Promise<void> {
  if (await isStream(file)) return writeInto(file, content, hint);
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  try {
    {
      await using handle = await open(temporary, flags, mode);
      for await (const chunk of content) await handle.writeFile(chunk);
      if (durable) await handle.sync();
    }
    await rename(temporary, file);
    if (durable) await syncFolder(path.dirname(file));
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw cause instanceof OrchestraError ? cause : unwritable(file, cause, hint);
  }
}

async function isStream(file: string): Promise<boolean> {
  const there = await lstat(file).catch(() => undefined);
  return there?.isCharacterDevice() === true || there?.isFIFO() === true;
}

async function writeInto(
  file: string,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  hint?: string,
): Promise<void> {
  try {
    await using handle = await open(file, constants.O_WRONLY | constants.O_NOFOLLOW);
    for await (const chunk of content) await handle.writeFile(chunk);
  } catch (cause) {
    throw cause instanceof OrchestraError ? cause : unwritable(file, cause, hint);
  }
}

// A name is as durable as the folder that it stands in.
async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  await handle.sync();
}

export function unwritable(file: string, cause: unknown, hint?: string): OrchestraError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'failed';
  return new OrchestraError(
    code === 'ENOSPC' ? 'disk.full' : 'usage.invalid',
    `${file} cannot be written (${code})`,
    { ...(hint === undefined ? {} : { hint }), cause },
  );
}
