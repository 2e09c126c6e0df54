import { OrchestraError } from './errors.ts';

/**
 * How output lies on disk, and how the log route sends it to whoever asks for this type: a title,
 * then frames of milliseconds since the start (4 bytes), stream (1), three zero bytes, length (4)
 * and so many bytes; numbers have their high byte first. A task chooses the bytes of a frame and
 * nothing else of it. No output at all may be no bytes at all; an output may end inside a frame
 * where the daemon that wrote it was killed.
 */
export const framesType = 'application/vnd.orchestra.output';

/** `orchestra-output 1` and a line end. */
export const title: Readonly<Uint8Array> = Uint8Array.from(
  [0x6f, 0x72, 0x63, 0x68, 0x65, 0x73, 0x74, 0x72, 0x61, 0x2d].concat([
    0x6f, 0x75, 0x74, 0x70, 0x75, 0x74, 0x20, 0x31, 0x0a,
  ]),
);
export const frameHeaderBytes = 12;
export const frameBytesMax = 1 << 20;

export type FrameHeader = { t: number; s: 0 | 1 | 2; length: number };

/** What came of one frame at once: all of its bytes or a part of them. */
export type FramePart = { t: number; s: 0 | 1 | 2; bytes: Uint8Array; isLast: boolean };

export function writeHeader(into: Uint8Array, at: number, { t, s, length }: FrameHeader): void {
  const view = new DataView(into.buffer, into.byteOffset + at, frameHeaderBytes);
  view.setUint32(0, Math.min(t, 0xffff_ffff));
  view.setUint32(4, s * 0x100_0000);
  view.setUint32(8, length);
}

/**
 * Takes frames apart as they arrive, cut anywhere. It holds at most one header: the bytes of a part
 * are a view of what was pushed, so a length that is a lie costs nothing. Throws `blob.damaged` at
 * the first byte that no daemon wrote, and again for whatever comes after it.
 */
export class FrameReader {
  readonly #held = new Uint8Array(Math.max(frameHeaderBytes, title.length));
  #heldBytes = 0;
  #isTitled = false;
  #frame: FrameHeader | undefined;
  #left = 0;
  #isDamaged = false;

  push(bytes: Uint8Array): FramePart[] {
    if (this.#isDamaged) throw damaged();
    const parts: FramePart[] = [];
    for (let at = 0; at < bytes.length;) {
      if (this.#frame === undefined) {
        at += this.#hold(bytes, at);
        continue;
      }
      const part = bytes.subarray(at, at + this.#left);
      this.#left -= part.length;
      at += part.length;
      const { t, s } = this.#frame;
      parts.push({ t, s, bytes: part, isLast: this.#left === 0 });
      if (this.#left === 0) this.#frame = undefined;
    }
    return parts;
  }

  /** How many of the bytes it took for the title or a header. */
  #hold(bytes: Uint8Array, from: number): number {
    const wanted = this.#isTitled ? frameHeaderBytes : title.length;
    const taken = bytes.subarray(from, from + wanted - this.#heldBytes);
    this.#held.set(taken, this.#heldBytes);
    this.#heldBytes += taken.length;
    if (this.#heldBytes < wanted) return taken.length;
    this.#heldBytes = 0;
    if (this.#isTitled) {
      this.#frame = readHeader(this.#held);
      this.#left = this.#frame?.length ?? 0;
      this.#isDamaged = this.#frame === undefined;
    } else {
      this.#isDamaged = !title.every((byte, at) => byte === this.#held[at]);
      this.#isTitled = true;
    }
    if (this.#isDamaged) throw damaged();
    return taken.length;
  }
}

/** `undefined` for what no daemon ever wrote. */
function readHeader(from: Uint8Array): FrameHeader | undefined {
  const view = new DataView(from.buffer, from.byteOffset, frameHeaderBytes);
  const length = view.getUint32(8);
  const s = view.getUint8(4);
  if ((view.getUint32(4) & 0xff_ffff) !== 0 || length < 1 || length > frameBytesMax) {
    return undefined;
  }
  if (s !== 0 && s !== 1 && s !== 2) return undefined;
  return { t: view.getUint32(0), s, length };
}

function damaged(): OrchestraError {
  return new OrchestraError('blob.damaged', 'What is kept of an output is no output');
}
