import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { enginePaths } from '#setup/paths.ts';
import { openDoors, type Doors } from './doors.ts';
import { mountsSeenBy, openKernel, type Kernel } from './kernel.ts';

export type Machine = {
  kernel?: Kernel | undefined;
  doors?: Doors | undefined;
  /**
   * A directory for files that sandboxes are shown. Unlike the daemon's own it can be reached by a
   * root who is nobody here, and its mount has flags that such a one cannot take off.
   */
  files?: string | undefined;
};

/** The kernel under us and the doors into sandboxes, as far as they are to be had here. */
export async function openMachine(of: {
  stateDir: string;
  installId: string;
  env: Readonly<Record<string, string | undefined>>;
}): Promise<Machine> {
  const kernel = await openKernel();
  const doors = await findDoors({ ...of, kernel });
  const { slotsDir } = enginePaths(of.env);
  const isShared = doors !== undefined && path.dirname(doors.root) === slotsDir;
  return { kernel, doors, files: isShared ? `${doors.root}.files` : undefined };
}

/**
 * A directory on a shared mount of this machine: the one that the private engine was started with,
 * or the daemon's own where that happens to lie on one (most machines with systemd share `/`).
 * Undefined where there is none, or mounting takes privileges that this daemon has not.
 */
async function findDoors(of: {
  stateDir: string;
  installId: string;
  kernel: Kernel | undefined;
  env: Readonly<Record<string, string | undefined>>;
}): Promise<Doors | undefined> {
  if (of.kernel === undefined || process.getuid?.() !== 0) return undefined;
  const shared = (await mountsSeenBy('self')).filter(({ groups }) =>
    groups.some((word) => word.startsWith('shared:')),
  );
  const { slotsDir } = enginePaths(of.env);
  const dir = shared.some(({ target }) => target === slotsDir)
    ? path.join(slotsDir, of.installId)
    : shared.some(({ target }) => target === '/' || of.stateDir.startsWith(`${target}/`))
      ? path.join(of.stateDir, 'slots')
      : undefined;
  if (dir === undefined || !isRootsOwn(path.dirname(dir))) return undefined;
  return openDoors(dir, of.kernel);
}

function isRootsOwn(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK);
    const { uid, mode } = statSync(dir);
    return uid === 0 && (mode & 0o022) === 0;
  } catch {
    return false;
  }
}
