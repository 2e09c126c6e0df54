import { isAscii, isUtf8 } from 'node:buffer';
import type { OutputChunk } from '#contract/output.ts';
import { type FramePart, FrameReader } from '#contract/output-frames.ts';

/** So long at most is what one line says. */
const sliceBytesMax = 64 * 1024;

/**
 * The lines of JSON that the log route serves (`OutputChunk`), from an output file as it is read.
 * The same lines however the file arrives, and never more held than one slice: a frame's length is
 * the daemon's own word, and what a task wrote is inside JSON strings or base64.
 */
export async function* outputLines(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Buffer, void, undefined> {
  const slices = new Slices();
  for await (const part of source) {
    const lines = slices.push(part);
    if (lines !== '') yield Buffer.from(lines);
  }
  const last = slices.end();
  if (last !== '') yield Buffer.from(last);
}

class Slices {
  readonly #slice = Buffer.allocUnsafeSlow(sliceBytesMax);
  readonly #frames = new FrameReader();
  #t = 0;
  #s: 0 | 1 | 2 = 1;
  #used = 0;
  #lines = '';

  push(bytes: Uint8Array): string {
    for (const part of this.#frames.push(bytes)) this.#part(part);
    return this.#take();
  }

  /** Ends in the middle of a frame where somebody looks at a file that still grows. */
  end(): string {
    this.#flush(this.#used);
    return this.#take();
  }

  #take(): string {
    const lines = this.#lines;
    this.#lines = '';
    return lines;
  }

  #part({ t, s, bytes, isLast }: FramePart): void {
    // Half a character waits for its other half, but not while another stream speaks.
    if (s !== this.#s) this.#flush(this.#used);
    this.#t = t;
    this.#s = s;
    for (let at = 0; at < bytes.length;) {
      const taken = bytes.subarray(at, at + sliceBytesMax - this.#used);
      this.#slice.set(taken, this.#used);
      this.#used += taken.length;
      at += taken.length;
      if ((isLast && at === bytes.length) || this.#used === sliceBytesMax) {
        this.#flush(this.#used - unfinishedBytes(this.#slice.subarray(0, this.#used)));
      }
    }
  }

  #flush(length: number): void {
    if (length === 0) return;
    this.#lines += `${JSON.stringify(chunkOf(this.#t, this.#s, this.#slice.subarray(0, length)))}\n`;
    this.#slice.copyWithin(0, length, this.#used);
    this.#used -= length;
  }
}

function chunkOf(t: number, s: 0 | 1 | 2, bytes: Buffer): OutputChunk {
  if (mostlyControls(bytes) || !isUtf8(bytes)) return { t, s, b: bytes.toString('base64') };
  return { t, s, d: bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8') };
}

/** Six characters each in JSON: base64 is shorter then. Looking at the beginning is enough. */
function mostlyControls(bytes: Buffer): boolean {
  const looked = Math.min(bytes.length, 512);
  let controls = 0;
  for (let at = 0; at < looked; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) controls += 1;
  }
  return looked >= 64 && controls > looked / 8;
}

/** How many bytes at the end begin a character whose rest may be still to come. */
function unfinishedBytes(bytes: Buffer): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const needed = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return byte < 0xf8 && needed > back ? back : 0;
  }
  return 0;
}
