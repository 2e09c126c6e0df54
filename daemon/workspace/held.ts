import { readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';

export type HeldFile = { id: string; bytes: number };

const overlayMagic = 0x794c7630;
const lookedAtMax = 20_000;

/**
 * Files of an overlay that have no name any more and are still open, or mapped, in one of these
 * processes: no directory shows them, and they take room until the last of them lets go.
 */
export function* heldFiles(processes: readonly number[]): Generator<HeldFile, void, undefined> {
  let left = lookedAtMax;
  for (const pid of processes) {
    for (const path of [...opened(pid), ...mapped(pid)]) {
      left -= 1;
      if (left < 0) return;
      const file = nameless(path);
      if (file !== undefined) yield file;
    }
  }
}

function opened(pid: number): string[] {
  const dir = `/proc/${pid}/fd`;
  try {
    return readdirSync(dir).map((fd) => `${dir}/${fd}`);
  } catch {
    return [];
  }
}

/** The kernel says of a mapping that its file was removed; few have one. */
function mapped(pid: number): string[] {
  try {
    const maps = readFileSync(`/proc/${pid}/maps`, 'latin1');
    return [...maps.matchAll(/^([0-9a-f]+-[0-9a-f]+) .* \(deleted\)$/gm)].map(
      ([, range = '']) => `/proc/${pid}/map_files/${range}`,
    );
  } catch {
    return [];
  }
}

function nameless(path: string): HeldFile | undefined {
  try {
    const stat = statSync(path);
    if (stat.nlink !== 0 || !stat.isFile() || stat.blocks === 0) return undefined;
    // Memory has a limit of its own.
    if (statfsSync(path).type !== overlayMagic) return undefined;
    return { id: `held:${stat.dev}:${stat.ino}`, bytes: stat.blocks * 512 };
  } catch {
    return undefined;
  }
}
