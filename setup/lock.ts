import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';

export type LockOptions = {
  /** Said once when somebody else holds the lock. */
  onWait?: () => void;
  timeoutMs?: number;
};

/**
 * Runs `work` while no other process that names the same file does. The kernel holds the lock
 * (SQLite's own file lock), so it ends with its holder, however that one dies.
 */
export async function withLock<T>(
  file: string,
  work: () => Promise<T>,
  { onWait, timeoutMs = 600_000 }: LockOptions = {},
): Promise<T> {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  using database = new DatabaseSync(file);
  const giveUpAt = performance.now() + timeoutMs;
  let told = false;
  while (!tryLock(database)) {
    if (!told) onWait?.();
    told = true;
    if (performance.now() > giveUpAt) {
      throw new OrchestraError(
        'daemon.busy',
        `Another process held ${path.basename(file)} for too long`,
        {
          hint: 'wait for the other set-up to end, then try again',
        },
      );
    }
    await sleep(50);
  }
  return await work();
}

function tryLock(database: DatabaseSync): boolean {
  try {
    database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
    return true;
  } catch (error) {
    const code = (error as { errcode?: number }).errcode;
    if (code !== undefined && (code & 0xff) === 5) return false; // SQLITE_BUSY
    throw error;
  }
}
