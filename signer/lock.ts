import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/**
 * One signer for one state: two would sign two futures. Node has no flock, so it is an exclusive
 * transaction on an empty SQLite file, which the kernel gives back however the process ends.
 */
export function lockState(dir: string): Disposable {
  const database = new DatabaseSync(join(dir, 'lock.sqlite'), { timeout: 0 });
  try {
    database.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    database.close();
    throw new Error(`another signer has the state in ${dir}`, { cause });
  }
  let isHeld = true;
  return {
    [Symbol.dispose]() {
      if (isHeld) database.close();
      isHeld = false;
    },
  };
}
