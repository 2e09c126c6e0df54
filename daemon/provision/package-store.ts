import { link, copyFile, mkdir, stat, chmod } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import cacache from 'cacache';
import { freshen } from '../artifacts/freshen.ts';

/**
 * Every tarball that was ever fetched, by its hash; shared by all runs and never shown to a task.
 * Content gets in only whole and with the hash that was asked for, so that two writers of the same
 * package do no harm.
 */
export class PackageStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The size of a package that is here, and stays for a while, without reading it. */
  async sizeOf(integrity: string): Promise<number | undefined> {
    const found = await cacache.get.hasContent(this.#folder, integrity);
    if (found === false || !(await freshen(contentPath(this.#folder, integrity)))) return undefined;
    return found.size;
  }

  /** Reads a package to its end: false, and it is gone, where it no longer has its hash. */
  async check(integrity: string): Promise<boolean> {
    try {
      for await (const _chunk of cacache.get.stream.byDigest(this.#folder, integrity));
      return true;
    } catch {
      await cacache.rm.content(this.#folder, integrity);
      return false;
    }
  }

  /** Rejects with the code EINTEGRITY, and keeps nothing, where the content has another hash. */
  async put(key: string, integrity: string, body: Readable, signal: AbortSignal): Promise<number> {
    const algorithms: [string] = [integrity.slice(0, integrity.indexOf('-'))];
    const target = cacache.put.stream(this.#folder, key, { integrity, algorithms });
    await pipeline(body, target as unknown as NodeJS.WritableStream, { signal });
    return this.size(integrity);
  }

  /** Puts the package into another cache: the same bytes on disk where the file system can. */
  async linkInto(cache: string, integrity: string): Promise<void> {
    const from = contentPath(this.#folder, integrity);
    const to = contentPath(cache, integrity);
    await mkdir(dirname(to), { recursive: true });
    // Nobody writes into content, neither the daemon nor, through the overlay, a task.
    await chmod(from, 0o444);
    try {
      await link(from, to);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') return;
      if (code !== 'EXDEV' && code !== 'EMLINK' && code !== 'EPERM') throw error;
      await copyFile(from, to);
      await chmod(to, 0o444);
    }
  }

  async size(integrity: string): Promise<number> {
    return (await stat(contentPath(this.#folder, integrity))).size;
  }
}

/** Where cacache keeps content, the same in the npm of the image: content-v2/ALGORITHM/aa/bb/rest. */
export function contentPath(cache: string, integrity: string): string {
  const dash = integrity.indexOf('-');
  const hex = Buffer.from(integrity.slice(dash + 1), 'base64').toString('hex');
  const algorithm = integrity.slice(0, dash);
  return join(cache, 'content-v2', algorithm, hex.slice(0, 2), hex.slice(2, 4), hex.slice(4));
}
