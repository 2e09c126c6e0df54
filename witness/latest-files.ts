import { hash } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { parseSignedCheckpoint, type SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';

/** The newest cosigned checkpoint of each log, a file each: replaced whole, durable, never older. */
export class LatestFiles {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async open(dir: string): Promise<LatestFiles> {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    return new LatestFiles(dir);
  }

  /** Throws where the file is not what was written: taking it for nothing would sign a fork. */
  async read(origin: string): Promise<SignedCheckpoint | undefined> {
    const note = await this.note(originHash(origin));
    if (note === undefined) return undefined;
    const checkpoint = parseSignedCheckpoint(note);
    if (checkpoint?.origin === origin) return checkpoint;
    throw new Error(`${this.#pathOf(originHash(origin))} is damaged`);
  }

  async note(named: string): Promise<string | undefined> {
    if (!/^[0-9a-f]{64}$/.test(named)) return undefined;
    try {
      return await readFile(this.#pathOf(named), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async write(origin: string, note: string): Promise<void> {
    const path = this.#pathOf(originHash(origin));
    {
      await using file = await open(`${path}.new`, 'w', 0o644);
      await file.writeFile(note);
      await file.sync();
    }
    await rename(`${path}.new`, path);
    await using folder = await open(this.#dir, 'r');
    await folder.sync();
  }

  #pathOf(named: string): string {
    return join(this.#dir, named);
  }
}

function originHash(origin: string): string {
  return hash('sha256', origin, 'hex');
}
