import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { OrchestraError } from '#contract/errors.ts';

/**
 * One writer for the life of a daemon. Node has no flock, so it is an exclusive transaction on an
 * empty SQLite file: the kernel gives it back however the process ends, and within one process
 * SQLite itself keeps the second one out.
 */
export function lockLog(dir: string): Disposable {
  const database = new DatabaseSync(join(dir, 'lock.sqlite'), { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    if ((cause as { errcode?: number }).errcode !== 5) {
      const message = `The lock of the log in ${dir} cannot be taken`;
      throw new OrchestraError('audit.unavailable', message, { cause });
    }
    throw new OrchestraError('audit.locked', `Another daemon writes the log in ${dir}`, {
      hint: 'stop the other orchestrad, or choose another --state-dir',
      cause,
    });
  }
  let held = true;
  return {
    [Symbol.dispose]() {
      if (held) database.close();
      held = false;
    },
  };
}
