import { createHash } from 'node:crypto';
import { Patience, type PatienceOptions } from '../client/patience.ts';

export type Stream = 'out' | 'err';

/** What a piece of output is made of, whatever form it travels in. */
export type Pieces<T> = {
  bytesOf(piece: T): { bytes: Uint8Array; stream: Stream };
  /** The piece without its first bytes. */
  without(piece: T, bytes: number): T;
  /** Said where what was passed on is no beginning of what there is now. */
  another: T;
};

/**
 * Output that is taken up again over a restart of the daemon where it stopped. The daemon sends it
 * from the beginning; what was passed on already is compared by its hash and left out. Where
 * another attempt wrote something else meanwhile, that comes from its beginning.
 */
export async function* resumedOutput<T>(
  open: () => AsyncIterable<T>,
  pieces: Pieces<T>,
  options: PatienceOptions = {},
): AsyncGenerator<T> {
  const patience = new Patience(options);
  let seen = { out: new Seen(), err: new Seen() };
  for (;;) {
    try {
      const again = { out: seen.out.again(), err: seen.err.again() };
      let differs = false;
      for await (const piece of open()) {
        const { bytes, stream } = pieces.bytesOf(piece);
        const known = again[stream].skip(bytes);
        differs = known === undefined;
        if (known === undefined) break;
        if (known === bytes.length && known > 0) continue;
        patience.answered();
        seen[stream].take(bytes.subarray(known));
        yield known === 0 ? piece : pieces.without(piece, known);
      }
      if (!differs && again.out.isOver && again.err.isOver) return;
      seen = { out: new Seen(), err: new Seen() };
      yield pieces.another;
    } catch (error) {
      await patience.wait(error);
    }
  }
}

/** What was passed on of one stream: how much, and its hash. */
class Seen {
  readonly #hash = createHash('sha256');
  #bytes = 0;

  take(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
  }

  again(): Known {
    return new Known(this.#bytes, this.#hash.copy().digest('hex'));
  }
}

class Known {
  readonly #hash = createHash('sha256');
  readonly #digest: string;
  #left: number;

  constructor(bytes: number, digest: string) {
    this.#left = bytes;
    this.#digest = digest;
  }

  get isOver(): boolean {
    return this.#left === 0;
  }

  /** How many of the next bytes are known; undefined where they turn out to be others. */
  skip(bytes: Uint8Array): number | undefined {
    if (this.#left === 0) return 0;
    const known = bytes.subarray(0, this.#left);
    this.#hash.update(known);
    this.#left -= known.length;
    if (this.#left === 0 && this.#hash.digest('hex') !== this.#digest) return undefined;
    return known.length;
  }
}
