import * as fs from 'node:fs';
import { stat, utimes } from 'node:fs/promises';

/**
 * What somebody relied on so lately is never pruned, whether a run names it or not: a little while
 * where somebody waits for room, a long one where nobody does.
 */
export const graceMs = { least: 5 * 60_000, usual: 60 * 60_000 } as const;

/** Touched so lately, nothing need be written to have it stay. */
const touchedMs = 2 * 60_000;

/**
 * Says that somebody relies from now on on what lies there: whoever finds content and does not put
 * it asks this, because what it was found for is on record only later. False where nothing is.
 * The time of the content stays what it is; tasks see it.
 */
export async function freshen(path: string): Promise<boolean> {
  try {
    const found = await stat(path);
    if (!isFresh(found)) await utimes(path, Date.now() / 1000, found.mtimeMs / 1000);
    return true;
  } catch (cause) {
    return isAbsent(cause);
  }
}

/** The same in a thread of its own. */
export function freshenSync(path: string): boolean {
  try {
    const found = fs.statSync(path, { throwIfNoEntry: false });
    if (found === undefined) return false;
    if (!isFresh(found)) fs.utimesSync(path, Date.now() / 1000, found.mtimeMs / 1000);
    return true;
  } catch (cause) {
    return isAbsent(cause);
  }
}

function isFresh({ ctimeMs }: fs.Stats): boolean {
  return Date.now() - ctimeMs < touchedMs;
}

function isAbsent(cause: unknown): false {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return false;
  throw cause;
}
