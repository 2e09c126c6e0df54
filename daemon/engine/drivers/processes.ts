import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

const lookedAtMax = 128;

/**
 * The most files that one of these processes has open now. The kernel tells the number as the size
 * of a directory (Linux 6.2 and later); before that, and of processes that may not be looked at,
 * nothing is known.
 */
export function openFilesOf(pids: readonly number[]): number | undefined {
  let most = 0;
  for (const pid of pids.slice(0, lookedAtMax)) {
    try {
      most = Math.max(most, statSync(`/proc/${pid}/fd`, { throwIfNoEntry: false })?.size ?? 0);
    } catch {
      // Ended in this moment, or somebody else's.
    }
  }
  return most === 0 ? undefined : most;
}

/** Of these processes of one container, that which is number one in it (proc_pid_status(5), NSpid). */
export async function firstOf(pids: readonly number[]): Promise<number | undefined> {
  for (const pid of pids.slice(0, lookedAtMax)) {
    const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '');
    const numbers = /^NSpid:\s*(.*)$/m.exec(status)?.[1]?.trim().split(/\s+/) ?? [];
    if (numbers.length > 1 && numbers.at(-1) === '1') return pid;
  }
  return undefined;
}
