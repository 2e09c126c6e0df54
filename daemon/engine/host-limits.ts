import { readFileSync } from 'node:fs';

/** Above this an unlimited host is not asked for more: no sandbox needs it, every engine takes it. */
const ceiling = 1_048_576;

/**
 * The hard limits that the engine can give on to a container. Read from this process, which stands
 * for the engine on the same machine; a limit above the engine's own makes every start fail. There
 * are never more processes than numbers for them, and Podman lowers its own limit to that.
 */
export function readHostLimits(
  text = read('/proc/self/limits'),
  pidMax = read('/proc/sys/kernel/pid_max'),
): { openFilesMax: number; processesMax: number } {
  return {
    openFilesMax: hardLimit(text, 'Max open files'),
    processesMax: Math.min(hardLimit(text, 'Max processes'), Number(pidMax.trim()) || ceiling),
  };
}

function hardLimit(text: string, name: string): number {
  const line = text.split('\n').find((each) => each.startsWith(name));
  const hard = Number(line?.slice(name.length).trim().split(/\s+/)[1]);
  return Number.isSafeInteger(hard) && hard > 0 ? Math.min(hard, ceiling) : ceiling;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
