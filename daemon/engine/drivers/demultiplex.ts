import type { Readable } from 'node:stream';
import { OrchestraError } from '#contract/errors.ts';
import type { OutputPiece } from '../engine.ts';
import { engineError } from './errors.ts';

const headerBytes = 8;

/**
 * Takes the engine's frames apart: stream number, three zero bytes, length, bytes. A frame is given
 * on as it arrives, whatever length it claims, so nothing but a header is ever kept. The engine
 * writes the headers; what is in a frame is bytes, however much it looks like one.
 */
export async function* demultiplex(
  source: Readable | AsyncIterable<Uint8Array>,
): AsyncGenerator<OutputPiece, void, undefined> {
  const frames = new Frames();
  try {
    for await (const chunk of source as AsyncIterable<Uint8Array>) yield* frames.take(chunk);
  } catch (cause) {
    throw engineError('pass on the output of a sandbox', cause);
  }
  if (frames.isOpen) throw broken('ended in the middle of a frame');
}

class Frames {
  readonly #header = Buffer.alloc(headerBytes);
  #known = 0;
  #left = 0;
  #s: 1 | 2 = 1;

  get isOpen(): boolean {
    return this.#left > 0 || this.#known > 0;
  }

  /** Pieces are windows on `chunk`: nothing is copied but the header. */
  *take(chunk: Uint8Array): Generator<OutputPiece, void, undefined> {
    for (let at = 0; at < chunk.length;) {
      if (this.#left > 0) {
        const bytes = chunk.subarray(at, at + this.#left);
        at += bytes.length;
        this.#left -= bytes.length;
        yield { s: this.#s, bytes };
        continue;
      }
      const part = chunk.subarray(at, at + headerBytes - this.#known);
      this.#header.set(part, this.#known);
      this.#known += part.length;
      at += part.length;
      if (this.#known < headerBytes) return;
      this.#s = streamOf(this.#header);
      this.#left = this.#header.readUInt32BE(4);
      this.#known = 0;
    }
  }
}

function streamOf(header: Buffer): 1 | 2 {
  const number = header[0];
  if ((number !== 1 && number !== 2) || header.readUIntBE(1, 3) !== 0) {
    throw broken('holds a malformed frame');
  }
  return number;
}

function broken(how: string): OrchestraError {
  return new OrchestraError('engine.failed', `The output of a sandbox ${how}`);
}
