import { constants } from 'node:fs';
import { open, stat, statfs, type FileHandle } from 'node:fs/promises';

export type TmpUsage = {
  /** Bytes in use on the fullest of them. */
  usedBytes: number;
  /** The size of one that has no room left, in bytes or in files. */
  fullBytes: number | undefined;
};

/**
 * The memory file systems of one container, held open: they can be asked for as long as they are
 * held, even after its last process has died, so what is read last is what the task left.
 */
export class TmpMounts {
  readonly #held: FileHandle[] = [];

  /** Undefined while there is none: then the container is still being set up, or is not here. */
  static async open(pid: number): Promise<TmpMounts | undefined> {
    const mounts = new TmpMounts();
    for (const target of targets) {
      const held = await hold(`/proc/${pid}/root${target}`, target);
      if (held !== undefined) mounts.#held.push(held);
    }
    return mounts.#held.length === 0 ? undefined : mounts;
  }

  async read(): Promise<TmpUsage> {
    const usage: TmpUsage = { usedBytes: 0, fullBytes: undefined };
    for (const { fd } of this.#held) {
      const { bsize, blocks, bfree, files, ffree } = await statfs(`/proc/self/fd/${fd}`);
      usage.usedBytes = Math.max(usage.usedBytes, (blocks - bfree) * bsize);
      const isFull = bfree === 0 || (files > 0 && ffree === 0);
      if (isFull) usage.fullBytes = Math.max(usage.fullBytes ?? 0, blocks * bsize);
    }
    return usage;
  }

  async close(): Promise<void> {
    await Promise.all(this.#held.splice(0).map((one) => one.close()));
  }
}

const targets = ['/tmp', '/home/node'];
const tmpfsMagic = 0x01021994;

async function hold(path: string, onHost: string): Promise<FileHandle | undefined> {
  let held: FileHandle | undefined;
  try {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
    held = await open(path, flags);
    const { type } = await statfs(`/proc/self/fd/${held.fd}`);
    // Until its root is changed, a container's first process still sees the host's.
    const host = await stat(onHost).catch(() => undefined);
    if (type === tmpfsMagic && (await held.stat()).dev !== host?.dev) return held;
  } catch {
    // It has none there, or this is no place of this machine.
  }
  await held?.close();
  return undefined;
}
