import { readFileSync } from 'node:fs';

/** Above this an unlimited host is not asked for more: no sandbox needs it, every engine takes it. */
const ceiling = 1_048_576;

/**
 * The hard limits that the engine can give on to a container. Read from this process, which stands
 * for the engine on the same machine; a limit above the engine's own makes every start fail.
 */
export function readHostLimits(text = readLimits()): {
  openFilesMax: number;
  processesMax: number;
} {
  return {
    openFilesMax: hardLimit(text, 'Max open files'),
    processesMax: hardLimit(text, 'Max processes'),
  };
}

function hardLimit(text: string, name: string): number {
  const line = text.split('\n').find((each) => each.startsWith(name));
  const hard = Number(line?.slice(name.length).trim().split(/\s+/)[1]);
  return Number.isSafeInteger(hard) && hard > 0 ? Math.min(hard, ceiling) : ceiling;
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1');
  } catch {
    return '';
  }
}
