import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

export type Spooled = { name: string; path: string; bytes: number; sha256: string };

const blockBytes = 64 * 1024;

/** A file of the bundle while it grows on disk: a log of years has more denials than fit in memory. */
export class Spool {
  readonly #name: string;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #hash = createHash('sha256');
  #bytes = 0;
  #text = '';

  private constructor(name: string, path: string, file: FileHandle) {
    this.#name = name;
    this.#path = path;
    this.#file = file;
  }

  static async open(dir: string, name: string): Promise<Spool> {
    const path = join(dir, name);
    return new Spool(name, path, await open(path, 'wx', 0o600));
  }

  add(text: string): void {
    this.#text += text;
  }

  /** To be awaited now and then by whoever adds. */
  async settle(): Promise<void> {
    if (this.#text.length >= blockBytes) await this.#flush();
  }

  async finish(): Promise<Spooled> {
    await this.#flush();
    await this.#file.close();
    const sha256 = this.#hash.digest('hex');
    return { name: this.#name, path: this.#path, bytes: this.#bytes, sha256 };
  }

  async #flush(): Promise<void> {
    const block = Buffer.from(this.#text);
    this.#text = '';
    this.#hash.update(block);
    this.#bytes += block.length;
    await this.#file.appendFile(block);
  }
}
