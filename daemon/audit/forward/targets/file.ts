import { constants, type Stats } from 'node:fs';
import { lstat, open, realpath, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Batch, Target } from '../target.ts';

/**
 * Appends to a file, a line a record, on the disk before it counts. A file that was moved away is let
 * go and a new one begun, so it can be rotated. Links are not followed; a directory on the way that
 * is one, a second name of the file and what is no file are refused.
 */
export class FileTarget implements Target {
  readonly #path: string;
  readonly #lineEnd: string;
  #open: FileHandle | undefined;

  constructor({ path, lineEnd }: { path: string; lineEnd: string }) {
    this.#path = path;
    this.#lineEnd = lineEnd;
  }

  async send(batch: Batch): Promise<void> {
    const file = await this.#current();
    const lines = batch.texts.map((text) => text + this.#lineEnd).join('');
    const before = (await file.stat()).size;
    const bytes = Buffer.from(lines);
    let written = 0;
    try {
      while (written < bytes.length) {
        const { bytesWritten } = await file.write(bytes, written);
        written += bytesWritten;
      }
      await file.datasync();
    } catch (error) {
      await takeBack(file, before, written);
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    const file = this.#open;
    this.#open = undefined;
    await file?.close();
  }

  async #current(): Promise<FileHandle> {
    if (this.#open !== undefined) {
      const [held, there] = await Promise.all([this.#open.stat(), lstat(this.#path).catch(absent)]);
      if (there !== undefined && there.ino === held.ino && there.dev === held.dev) {
        return this.#open;
      }
      await this.close();
    }
    const folder = dirname(this.#path);
    if ((await realpath(folder)) !== folder) {
      throw new Error(`a directory on the way to ${this.#path} is a link`);
    }
    const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    const flags = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
    const file = await open(this.#path, flags, 0o600);
    try {
      const found = await file.stat();
      if (!found.isFile()) throw new Error(`${this.#path} is no file`);
      if (found.nlink > 1) throw new Error(`${this.#path} has a second name`);
      await endLine(file, found);
      await syncFolder(folder);
    } catch (error) {
      await file.close();
      throw error;
    }
    this.#open = file;
    return file;
  }
}

/** What somebody who was killed left of a line becomes a line of its own. */
async function endLine(file: FileHandle, { size }: Stats): Promise<void> {
  if (size === 0) return;
  const last = Buffer.alloc(1);
  await file.read(last, 0, 1, size - 1);
  if (last[0] !== 0x0a) await file.write('\n');
}

/** Half a line is taken away again, unless somebody else wrote meanwhile. */
async function takeBack(file: FileHandle, before: number, written: number): Promise<void> {
  try {
    const { size } = await file.stat();
    if (size >= before && size <= before + written) await file.truncate(before);
  } catch {
    // Whoever writes next ends the line first.
  }
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  await handle.sync();
}

function absent(cause: NodeJS.ErrnoException): undefined {
  if (cause.code !== 'ENOENT') throw cause;
}
