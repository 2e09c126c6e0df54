import { open, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';

export type RoomOptions = {
  /** Below this many free bytes no new run is taken. */
  lowWaterBytes: number;
  /** Size of the reserve, which is given up at the second mark for the closing records. */
  reserveBytes: number;
  /** Free bytes of the file system; a seam for tests. */
  freeBytes?: ((dir: string) => Promise<number>) | undefined;
};

// A small file system of its own for the state directory must stay usable.
const shareMax = 0.05;

/** Keeps room for the last words: what has been started must still be recorded when it is stopped. */
export class Room {
  private readonly dir: string;
  private readonly options: RoomOptions;

  constructor(dir: string, options: RoomOptions) {
    this.dir = dir;
    this.options = options;
  }

  /** Throws `disk.full` below the low-water mark. */
  async assert(): Promise<void> {
    const free = await this.watch();
    const needed = Math.min(this.options.lowWaterBytes, (await this.total()) * shareMax);
    if (free >= needed) return;
    const mib = (bytes: number) => `${Math.floor(bytes / 1024 / 1024)} MiB`;
    throw new OrchestraError(
      'disk.full',
      `The log's disk has ${mib(free)} left and needs ${mib(needed)}`,
      { hint: 'free some space where the state directory is; nothing was started' },
    );
  }

  /** Gives up the reserve at the second mark. Returns the free bytes. */
  async watch(): Promise<number> {
    const free = await (this.options.freeBytes ?? freeBytesOf)(this.dir);
    if (free < this.options.reserveBytes) await rm(this.path, { force: true });
    return free;
  }

  /** Lays the reserve aside where there is room for it and the log besides. */
  async reserve(): Promise<void> {
    const { reserveBytes } = this.options;
    if (reserveBytes === 0 || (await this.watch()) < reserveBytes * 3) return;
    const there = await stat(this.path).catch(() => undefined);
    if (there?.size === reserveBytes) return;
    await using file = await open(this.path, 'w', 0o600);
    // Zeros are written out, since a hole would reserve nothing.
    const zeros = Buffer.alloc(Math.min(reserveBytes, 1024 * 1024));
    for (let left = reserveBytes; left > 0; left -= zeros.length) {
      await file.write(zeros, 0, Math.min(left, zeros.length));
    }
    await file.datasync();
  }

  private async total(): Promise<number> {
    if (this.options.freeBytes !== undefined) return Number.POSITIVE_INFINITY;
    const { blocks, bsize } = await statfs(this.dir);
    return blocks * bsize;
  }

  private get path(): string {
    return join(this.dir, 'reserve');
  }
}

async function freeBytesOf(dir: string): Promise<number> {
  const { bavail, bsize } = await statfs(dir);
  return bavail * bsize;
}
