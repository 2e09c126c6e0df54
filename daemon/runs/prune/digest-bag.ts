const digestBytes = 32;
const digest = /^(?:sha256:)?([0-9a-f]{64})$/;

/** Digests in a row, as few bytes as they have: a run may name a hundred thousand. */
export class DigestBag {
  #bytes = Buffer.alloc(16 * digestBytes);
  #length = 0;

  /** Nothing where the text is no digest. */
  add(text: string): void {
    const hex = digest.exec(text)?.[1];
    if (hex === undefined) return;
    if (this.#length === this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(this.#length)]);
    }
    this.#length += this.#bytes.write(hex, this.#length, 'hex');
  }

  /** Every digest anywhere in the data of a record. */
  addAll(data: unknown): void {
    if (typeof data === 'string') this.add(data);
    else if (typeof data === 'object' && data !== null) {
      for (const value of Object.values(data)) this.addAll(value);
    }
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
