import { open } from 'node:fs/promises';

export type Framed = {
  /** Offset behind the last line feed: where the good part of the file ends. */
  end: number;
  /** Bytes behind it. */
  tail: number;
  /** Offset of a line that is longer than any line may be, if there is one. */
  oversize: number | undefined;
};

/**
 * Called with the bytes of one line, without its line feed. The byte before `start` belongs to the
 * callee as well: a leaf hash needs a prefix there, and so nothing has to be copied. The buffer is
 * used again afterwards. Return false to stop.
 */
export type OnLine = (buffer: Buffer, start: number, end: number, offset: number) => boolean;

const chunkBytesDefault = 4 * 1024 * 1024;
const nothing = { bytesRead: 0 };

/** Cuts a file, as long as it is now, into lines at byte 10 and nothing else, in flat memory. */
export async function frameFile(
  path: string,
  onLine: OnLine,
  options: { chunkBytes?: number | undefined; from?: number; lineBytesMax: number },
): Promise<Framed> {
  const capacity = Math.max(options.chunkBytes ?? chunkBytesDefault, options.lineBytesMax + 1);
  await using file = await open(path, 'r');
  const { size } = await file.stat();

  let position = options.from ?? 0;
  // No more than there is: most segments are far smaller than a chunk.
  const buffer = Buffer.allocUnsafe(1 + Math.min(capacity, Math.max(size - position, 0)));
  // Bytes 1..filled hold what follows `end`, unless an unfinished line outgrew `skipping`.
  let end = position;
  let filled = 1;
  let tooLong = false;
  for (;;) {
    const wanted = Math.min(buffer.length - filled, size - position);
    const { bytesRead } = wanted > 0 ? await file.read(buffer, filled, wanted, position) : nothing;
    if (bytesRead === 0) return { end, tail: position - end, oversize: undefined };
    position += bytesRead;
    const limit = filled + bytesRead;
    if (tooLong) {
      // Only now is it known to be a line and not a torn tail.
      if (buffer.subarray(0, limit).indexOf(10, filled) !== -1) {
        return { end, tail: 0, oversize: end };
      }
      continue;
    }
    const view = buffer.subarray(0, limit);
    let start = 1;
    let from = filled;
    for (;;) {
      const feed = view.indexOf(10, from);
      if (feed === -1) break;
      if (feed - start > options.lineBytesMax) return { end, tail: 0, oversize: end };
      if (!onLine(buffer, start, feed, end)) return { end, tail: 0, oversize: undefined };
      end += feed - start + 1;
      start = feed + 1;
      from = start;
    }
    filled = 1 + (limit - start);
    if (filled - 1 > options.lineBytesMax) {
      tooLong = true;
      filled = 1;
    } else {
      buffer.copyWithin(1, start, limit);
    }
  }
}
