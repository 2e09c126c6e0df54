import * as fs from 'node:fs';
import type { ByteString } from '#contract/path-bytes.ts';
import { hostPath } from './walk.ts';

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = fs.constants;

/**
 * A directory of the user's that something is about to be written into. On Linux names are reached
 * through its descriptor, so that a link put in its place meanwhile leads nowhere; elsewhere by
 * its path, after every part of it was seen not to be a link.
 */
export class Folder implements Disposable {
  readonly #fd: number;
  readonly #path: ByteString;

  private constructor(path: ByteString) {
    this.#fd = fs.openSync(hostPath(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    this.#path = process.platform === 'linux' ? `/proc/self/fd/${this.#fd}` : path;
  }

  static root(path: string): Folder {
    return new Folder(Buffer.from(fs.realpathSync(path)).toString('latin1'));
  }

  /** `undefined` when a part is not there; throws ENOTDIR or ELOOP when one is no directory. */
  down(parts: readonly ByteString[]): Folder | undefined {
    let here: Folder = new Folder(`${this.#path}/.`);
    for (const part of parts) {
      const next = here.#child(part);
      here[Symbol.dispose]();
      if (next === undefined) return undefined;
      here = next;
    }
    return here;
  }

  lstat(name: ByteString): fs.BigIntStats | undefined {
    return fs.lstatSync(this.at(name), { bigint: true, throwIfNoEntry: false });
  }

  list(): ByteString[] {
    return fs.readdirSync(hostPath(`${this.#path}/.`), { encoding: 'latin1' as BufferEncoding });
  }

  at(name: ByteString): string | Buffer {
    if (name === '' || name === '..' || name.includes('/') || name.includes('\0')) {
      throw new TypeError('not a single name');
    }
    return hostPath(`${this.#path}/${name}`);
  }

  #child(name: ByteString): Folder | undefined {
    try {
      return new Folder(`${this.#path}/${name}`);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw cause;
    }
  }

  [Symbol.dispose](): void {
    fs.closeSync(this.#fd);
  }
}
