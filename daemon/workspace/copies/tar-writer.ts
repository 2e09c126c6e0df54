import { readSync } from 'node:fs';
import { blockBytes, headerOf, padding, type TarEntry } from './tar-header.ts';

const pieceBytes = 1 << 20;

/** Writes a tar stream into pieces of memory that are given away one by one. */
export class TarWriter {
  readonly #owner: { uid: number; gid: number };
  #piece = Buffer.allocUnsafeSlow(pieceBytes);
  #used = 0;

  constructor(owner: { uid: number; gid: number }) {
    this.#owner = owner;
  }

  /** An entry without content. */
  *entry(entry: TarEntry): Generator<Uint8Array<ArrayBuffer>> {
    yield* this.#bytes(headerOf({ ...entry, size: 0 }, this.#owner));
  }

  /** A file with the content behind `fd`, from its beginning. */
  *file(entry: TarEntry, fd: number): Generator<Uint8Array<ArrayBuffer>> {
    yield* this.#bytes(headerOf(entry, this.#owner));
    for (let at = 0; at < entry.size;) {
      if (this.#used === pieceBytes) yield this.#full();
      const room = Math.min(pieceBytes - this.#used, entry.size - at);
      const got = readSync(fd, this.#piece, this.#used, room, at);
      if (got === 0) throw new Error('a file became shorter while it was copied');
      this.#used += got;
      at += got;
    }
    yield* this.#bytes(Buffer.alloc(padding(entry.size)));
  }

  *end(): Generator<Uint8Array<ArrayBuffer>> {
    yield* this.#bytes(Buffer.alloc(2 * blockBytes));
    if (this.#used > 0) yield this.#full();
  }

  *#bytes(bytes: Buffer): Generator<Uint8Array<ArrayBuffer>> {
    for (let at = 0; at < bytes.length;) {
      if (this.#used === pieceBytes) yield this.#full();
      const copied = bytes.copy(this.#piece, this.#used, at);
      this.#used += copied;
      at += copied;
    }
  }

  #full(): Uint8Array<ArrayBuffer> {
    const full = new Uint8Array(this.#piece.buffer, 0, this.#used);
    this.#piece = Buffer.allocUnsafeSlow(pieceBytes);
    this.#used = 0;
    return full;
  }
}
