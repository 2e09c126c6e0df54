import { frameBytesMax, frameHeaderBytes, title, writeHeader } from '#contract/output-frames.ts';

const smallBytes = 64 * 1024;
const largeBytes = frameHeaderBytes + frameBytesMax;

/**
 * What was taken and is not on its way to the file yet. It is copied once, into one buffer, and
 * neighbours of one stream become one frame: a task that prints byte by byte costs no more memory
 * and few more bytes on disk than one that prints at once.
 */
export class OutputBatch {
  #buffer = Buffer.allocUnsafeSlow(smallBytes);
  #used = 0;
  /** Where the header of the frame begins that may still grow, -1 where there is none. */
  #open = -1;
  #stream: 0 | 1 | 2 = 1;

  /** With the title that every file begins with. */
  static first(): OutputBatch {
    const batch = new OutputBatch();
    batch.#buffer.set(title);
    batch.#used = title.length;
    return batch;
  }

  get isEmpty(): boolean {
    return this.#used === 0;
  }

  /** How many of the bytes it took: fewer than there are when it is full. */
  take(t: number, s: 0 | 1 | 2, bytes: Uint8Array): number {
    const header = this.#open >= 0 && s === this.#stream ? 0 : frameHeaderBytes;
    if (this.#used + header + bytes.length > this.#buffer.length) this.#grow();
    const room = this.#buffer.length - this.#used - header;
    if (room <= 0) return 0;
    const taken = bytes.length <= room ? bytes : bytes.subarray(0, room);
    if (header > 0) {
      this.#open = this.#used;
      this.#stream = s;
      this.#used += header;
      writeHeader(this.#buffer, this.#open, { t, s, length: 0 });
    }
    this.#buffer.set(taken, this.#used);
    this.#used += taken.length;
    this.#buffer.writeUInt32BE(this.#used - this.#open - frameHeaderBytes, this.#open + 8);
    return taken.length;
  }

  /** To be written; valid until the next `take`. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#used);
  }

  clear(): void {
    this.#used = 0;
    this.#open = -1;
  }

  #grow(): void {
    if (this.#buffer.length === largeBytes) return;
    const larger = Buffer.allocUnsafeSlow(largeBytes);
    this.#buffer.copy(larger, 0, 0, this.#used);
    this.#buffer = larger;
  }
}
