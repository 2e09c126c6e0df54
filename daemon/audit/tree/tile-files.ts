import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { failpoint } from '../../base/failpoints.ts';
import { tileBytes } from './tile.ts';
import { tilePath } from './tile-path.ts';

/**
 * Full tiles on disk. All of them can be made again from the segments, so none is ever synced, and
 * what is read counts only where a proof over it arrives at a root that is known.
 *
 * Each is whole under its name or not at all, and was read back and compared before it got it.
 */
export class TileFiles {
  readonly #dir: string;

  /** `dir` is the folder of the log. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Undefined where there is none, or none of the right size. */
  async read(level: number, index: number): Promise<Buffer | undefined> {
    try {
      const bytes = await readFile(this.#pathOf(level, index));
      return bytes.length === tileBytes ? bytes : undefined;
    } catch {
      return undefined;
    }
  }

  readNow(level: number, index: number): Buffer | undefined {
    return this.has(level, index) ? readFileSync(this.#pathOf(level, index)) : undefined;
  }

  has(level: number, index: number): boolean {
    return statSync(this.#pathOf(level, index), { throwIfNoEntry: false })?.size === tileBytes;
  }

  async write(level: number, index: number, bytes: Buffer): Promise<void> {
    const path = this.#pathOf(level, index);
    const fresh = `${path}.new`;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await writeFile(fresh, bytes, { mode: 0o600 });
    if (!(await readFile(fresh)).equals(bytes)) throw differs(path);
    failpoint('before-tile-rename');
    await rename(fresh, path);
    failpoint('after-tile-rename');
  }

  /** The same at once, while a log is opened: thousands are missing the first time. */
  writeNow(level: number, index: number, bytes: Buffer): void {
    const path = this.#pathOf(level, index);
    const fresh = `${path}.new`;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(fresh, bytes, { mode: 0o600 });
    if (!readFileSync(fresh).equals(bytes)) throw differs(path);
    renameSync(fresh, path);
  }

  #pathOf(level: number, index: number): string {
    return join(this.#dir, tilePath(level, index));
  }
}

function differs(path: string): Error {
  return new Error(`the disk gave back other bytes for ${path}`);
}
