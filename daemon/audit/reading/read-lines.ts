import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { lineBytesMax } from '#verifier/limits.ts';
import { segmentName } from '#verifier/segments.ts';
import { lineOf } from '../reader.ts';
import type { LogLine } from '../types.ts';

export type LinePlace = { segment: number; offset: number; length: number };

/** Lines further apart than this are read one by one. */
const gapMax = 16 * 1024;
/** What is read and parsed in one go, so that others get a turn in between. */
const batchBytesMax = 192 * 1024;

/** Reads of one file that are under way together. */
const readsAtOnce = 8;

/**
 * The lines at places of the segments, in the order of the places, each hashed as it lies there;
 * undefined where there is none. Each file is opened once in a row, and what lies close together is
 * read together.
 */
export async function* readLines<P extends LinePlace>(
  dir: string,
  places: readonly P[],
): AsyncGenerator<{ place: P; line: LogLine | undefined }, void, undefined> {
  let file: FileHandle | undefined;
  let current = -1;
  try {
    for (const batches of groupsOf(places)) {
      const segment = batches[0]?.[0]?.segment ?? -1;
      if (current !== segment) {
        await file?.close();
        file = undefined;
        file = await open(join(dir, 'segments', segmentName(segment)), 'r').catch(none);
        current = segment;
      }
      const read = await Promise.all(batches.map((batch) => readBatch(file, batch)));
      for (const lines of read) yield* lines;
    }
  } finally {
    await file?.close();
  }
}

/** Some batches of one segment. */
function* groupsOf<P extends LinePlace>(places: readonly P[]): Generator<P[][]> {
  let group: P[][] = [];
  let bytes = 0;
  for (const batch of batchesOf(places)) {
    const [first] = batch;
    const isOther = group[0]?.[0]?.segment !== first?.segment;
    if (group.length > 0 && (isOther || group.length >= readsAtOnce || bytes >= batchBytesMax)) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(batch);
    for (const { length } of batch) bytes += length;
  }
  if (group.length > 0) yield group;
}

async function readBatch<P extends LinePlace>(
  file: FileHandle | undefined,
  batch: readonly P[],
): Promise<{ place: P; line: LogLine | undefined }[]> {
  const start = batch[0]?.offset ?? 0;
  const end = Math.max(...batch.map(({ offset, length }) => offset + length + 1));
  if (file === undefined || batch.some((place) => !isPlace(place))) {
    return batch.map((place) => ({ place, line: undefined }));
  }
  // One byte before each line belongs to its hash, and the line feed is read as well: a line that
  // goes on is another line.
  const buffer = Buffer.alloc(end - start + 1);
  const { bytesRead } = await file.read(buffer, 1, end - start, start);
  return batch.map((place) => {
    const from = place.offset - start + 1;
    const to = from + place.length;
    const before = buffer[from - 1];
    // In the middle of a file a line begins behind a line feed, which the hash then overwrites.
    const begins = from === 1 || before === 10;
    const isWhole = to < bytesRead + 1 && buffer[to] === 10;
    return {
      place,
      line: begins && isWhole ? lineOf(buffer, from, to, placeOf(place)) : undefined,
    };
  });
}

function* batchesOf<P extends LinePlace>(places: readonly P[]): Generator<P[]> {
  let batch: P[] = [];
  let bytes = 0;
  for (const place of places) {
    const last = batch.at(-1);
    const gap = last === undefined ? 0 : place.offset - (last.offset + last.length + 1);
    const joins =
      last === undefined ||
      (place.segment === last.segment &&
        isPlace(place) &&
        isPlace(last) &&
        gap >= 0 &&
        gap <= gapMax &&
        bytes + gap + place.length < batchBytesMax);
    if (!joins) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(place);
    bytes += Math.max(0, joins ? gap : 0) + place.length + 1;
  }
  if (batch.length > 0) yield batch;
}

// What an index says is looked at before memory is taken for it.
function isPlace({ offset, length }: LinePlace): boolean {
  return Number.isSafeInteger(offset) && offset >= 0 && length >= 1 && length <= lineBytesMax;
}

function placeOf({ segment, offset }: LinePlace): { segment: number; offset: number } {
  return { segment, offset };
}

function none(): undefined {
  return undefined;
}
