import { randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * How layers get to a sandbox: `mounts`, where the engine sees the directories of this daemon, or as
 * tar `streams`, where it is on another machine.
 */
export type LayersWay = 'mounts' | 'streams';

/**
 * Which way it is with this engine, found out by a file that was not there a moment ago. Where the
 * engine does not tell, a socket of this machine counts as an engine of this machine.
 */
export async function findWay(
  dir: string,
  { sees, isSocket }: { sees: (file: string) => Promise<boolean | undefined>; isSocket: boolean },
): Promise<LayersWay> {
  const file = join(dir, `.seen-${randomBytes(8).toString('hex')}`);
  await mkdir(dir, { recursive: true, mode: 0o711 });
  await writeFile(file, '', { flag: 'wx', mode: 0o600 });
  try {
    return ((await sees(file)) ?? isSocket) ? 'mounts' : 'streams';
  } finally {
    await rm(file, { force: true });
  }
}
