import { readFileSync } from 'node:fs';

// include/linux/sched.h: set first thing on the way out, and never taken back.
const PF_EXITING = 0x4n;

/**
 * True when no process of that number runs, or not for much longer: on its way out it loses its
 * namespaces, mounts and memory one after the other, and what is read of them then means nothing.
 * The first process of a pid namespace stays on that way until all others of it are dead.
 */
export function isLeaving(pid: number, proc = '/proc'): boolean {
  let stat: string;
  try {
    stat = readFileSync(`${proc}/${pid}/stat`, 'latin1');
  } catch {
    return true;
  }
  // The name in brackets may hold anything: state and flags are counted from the last bracket.
  const words = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = ''] = words;
  const flags = words[6] ?? '';
  if (['Z', 'X', ''].includes(state) || !/^\d+$/.test(flags)) return true;
  return (BigInt(flags) & PF_EXITING) !== 0n;
}
