import { constants } from 'node:fs';
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { zeroHash } from '#verifier/limits.ts';
import type { Log } from '../types.ts';

const Count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const Kept = z.strictObject({
  v: z.literal(1),
  origin: z.string(),
  /** The first record that the receiver may not have, and the hash of the one before. */
  next: Count,
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  /** Where the batch ends that was being handed over: the same one comes again, under the same key. */
  upto: Count.optional(),
});
export type Place = Pick<z.infer<typeof Kept>, 'next' | 'hash' | 'upto'>;

const bytesMax = 4096;

/**
 * Where a forwarder stands, on disk: whole or not at all, and there after a loss of power. It may be
 * older than what was handed over, never newer.
 */
export class Cursor {
  readonly #dir: string;
  readonly #name: string;
  readonly #origin: string;
  place: Place;

  private constructor(dir: string, name: string, origin: string, place: Place) {
    this.#dir = dir;
    this.#name = name;
    this.#origin = origin;
    this.place = place;
  }

  /**
   * Throws `audit.rolled_back` where the log is not the one that the place is in: what its records
   * of these numbers are is then not known, and neither is what the receiver has.
   */
  static async open(
    dir: string,
    name: string,
    { log, from }: { log: Pick<Log, 'origin' | 'size' | 'head' | 'read'>; from: 'start' | 'end' },
  ): Promise<Cursor> {
    const kept = await read(join(dir, name));
    if (kept === undefined) {
      const { size, hash } = log.head;
      const place = from === 'start' ? { next: 0, hash: zeroHash } : { next: size, hash };
      const cursor = new Cursor(dir, name, log.origin, place);
      await cursor.save(place);
      return cursor;
    }
    const { origin, next, hash, upto } = kept;
    if (origin !== log.origin) throw stale(name, 'it is of another log');
    if (next > log.size) throw stale(name, 'the log ends before it');
    if ((await hashBefore(log, next)) !== hash) {
      throw stale(name, 'the log has another record there');
    }
    const isSound = upto === undefined || (upto > next && upto <= log.size);
    return new Cursor(dir, name, origin, { next, hash, ...(isSound && upto ? { upto } : {}) });
  }

  async save(place: Place): Promise<void> {
    const temporary = join(this.#dir, `.${this.#name}.tmp`);
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW, O_RDONLY, O_DIRECTORY } = constants;
    const text = `${JSON.stringify({ v: 1, origin: this.#origin, ...place })}\n`;
    {
      await using file = await open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
      await file.writeFile(text);
      await file.sync();
    }
    await rename(temporary, join(this.#dir, this.#name));
    await using folder = await open(this.#dir, O_RDONLY | O_DIRECTORY);
    await folder.sync();
    this.place = place;
  }
}

async function read(path: string): Promise<z.infer<typeof Kept> | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw cause;
  }
  try {
    if (text.length > bytesMax) throw new Error('too long');
    return Kept.parse(JSON.parse(text));
  } catch (cause) {
    throw new OrchestraError('audit.broken', `The place in ${path} cannot be read`, { cause });
  }
}

/** Of the record before, which the one there names: it may itself have been pruned. */
async function hashBefore(
  log: Pick<Log, 'head' | 'size' | 'read'>,
  seq: number,
): Promise<string | undefined> {
  const { size, hash } = log.head;
  if (seq === size) return hash;
  for await (const { record } of log.read({ from: seq, to: seq + 1 })) return record.prev;
  return undefined;
}

function stale(name: string, why: string): OrchestraError {
  return new OrchestraError(
    'audit.rolled_back',
    `The forwarder ${name} stands at a place that is not in this log: ${why}`,
  );
}
