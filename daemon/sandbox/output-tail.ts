/**
 * The last bytes of each stream of a task, and no more than that however much it prints. Copies,
 * because the bytes are only lent while they are written.
 */
export class OutputTail {
  readonly #streams = { 1: new Ring(), 2: new Ring() };

  see(stream: 0 | 1 | 2, bytes: Uint8Array): void {
    if (stream !== 0) this.#streams[stream].push(bytes);
  }

  /** What is left of a stream. Its first line may be cut in front. */
  text(stream: 1 | 2): string {
    return new TextDecoder().decode(this.#streams[stream].bytes());
  }
}

export const tailBytes = 64 * 1024;

class Ring {
  /** Made with the first byte: most tasks never use both streams. */
  #buffer: Buffer | undefined;
  #at = 0;
  #length = 0;

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const buffer = (this.#buffer ??= Buffer.alloc(tailBytes));
    const kept = bytes.length <= tailBytes ? bytes : bytes.subarray(bytes.length - tailBytes);
    const first = Math.min(kept.length, tailBytes - this.#at);
    buffer.set(kept.subarray(0, first), this.#at);
    buffer.set(kept.subarray(first), 0);
    this.#at = (this.#at + kept.length) % tailBytes;
    this.#length = Math.min(tailBytes, this.#length + kept.length);
  }

  bytes(): Buffer {
    if (this.#buffer === undefined) return Buffer.alloc(0);
    if (this.#length < tailBytes) return this.#buffer.subarray(0, this.#length);
    return Buffer.concat([this.#buffer.subarray(this.#at), this.#buffer.subarray(0, this.#at)]);
  }
}
