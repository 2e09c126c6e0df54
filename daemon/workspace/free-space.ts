import { statfs } from 'node:fs/promises';
import { OrchestraError } from '#contract/errors.ts';
import { formatSize, spellSize } from '#contract/units.ts';

/** What is left of a file system. `filesTotal` is 0 where files are not counted. */
export type Space = { free: number; total: number; filesFree: number; filesTotal: number };

/** A number of bytes, or a share of the file system in percent. */
export type Mark = { bytes: number } | { percent: number };

export type Marks = {
  /** Below it no run is taken and no task is started. */
  refuseBelow: Mark;
  /** Below it what runs is ended, so that the log keeps room for what has to be said. */
  stopBelow: Mark;
};

export const defaultMarks: Marks = {
  refuseBelow: { bytes: 1024 ** 3 },
  stopBelow: { bytes: 256 * 1024 ** 2 },
};

/** On a file system such as this one. */
export function markBytes(mark: Mark, { total }: Pick<Space, 'total'>): number {
  return 'percent' in mark ? Math.floor((total * mark.percent) / 100) : mark.bytes;
}

/** As the settings write it. */
export function spellMark(mark: Mark): string {
  return 'percent' in mark ? `${mark.percent}%` : spellSize(mark.bytes);
}

export type Level = 'enough' | 'low' | 'critical';

/** The marks of one file system in bytes and in files. */
export type Floor = { bytes: number; files: number };

// A mark in bytes must leave a small file system usable.
const shareMax = { refuse: 0.1, stop: 0.05 };
const filesMarks = { refuse: { share: 0.02, most: 20_000 }, stop: { share: 0.01, most: 5_000 } };

/** How much room there is under the state directory, and what that allows. */
export class FreeSpace {
  readonly marks: Marks;
  /** Gives back what is only waiting to be removed; asked before anybody is refused. */
  reclaim: () => Promise<void> = async () => {};
  readonly #dir: string;
  readonly #read: (dir: string) => Promise<Space>;

  constructor(
    dir: string,
    marks: Marks = defaultMarks,
    read: (dir: string) => Promise<Space> = spaceOf,
  ) {
    this.#dir = dir;
    this.marks = marks;
    this.#read = read;
  }

  read(): Promise<Space> {
    return this.#read(this.#dir);
  }

  /** Throws `disk.low` below the first mark, with what to do. */
  async assert(what: string): Promise<void> {
    if (this.level(await this.read()) === 'enough') return;
    await this.reclaim();
    const space = await this.read();
    if (this.level(space) !== 'enough') throw diskLow(space, this.floors(space).refuse, what);
  }

  level(space: Space): Level {
    const { refuse, stop } = this.floors(space);
    if (isBelow(space, stop)) return 'critical';
    return isBelow(space, refuse) ? 'low' : 'enough';
  }

  floors({ total, filesTotal }: Space): { refuse: Floor; stop: Floor } {
    const bytes = (mark: Mark, share: number) =>
      'percent' in mark
        ? Math.floor((total * mark.percent) / 100)
        : Math.min(mark.bytes, Math.floor(total * share));
    const files = ({ share, most }: { share: number; most: number }) =>
      Math.min(most, Math.floor(filesTotal * share));
    const stop = {
      bytes: bytes(this.marks.stopBelow, shareMax.stop),
      files: files(filesMarks.stop),
    };
    // What would be ended at once is not started, whatever the settings say.
    const refused = Math.max(stop.bytes, bytes(this.marks.refuseBelow, shareMax.refuse));
    return { refuse: { bytes: refused, files: files(filesMarks.refuse) }, stop };
  }
}

/** The same words wherever room is missing. */
export function diskLow(space: Space, floor: Floor, what: string): OrchestraError {
  const isBytes = space.free < floor.bytes;
  const left = isBytes ? formatSize(space.free) : `${space.filesFree} files`;
  const needed = isBytes ? formatSize(floor.bytes) : `${floor.files} files`;
  return new OrchestraError(
    'disk.low',
    `${left} left on the file system of the state directory, ${needed} are kept free: ${what}`,
    { hint: 'orchestra prune --all-but 5, or free some space there in another way' },
  );
}

function isBelow(space: Space, floor: Floor): boolean {
  return space.free < floor.bytes || (space.filesTotal > 0 && space.filesFree < floor.files);
}

async function spaceOf(dir: string): Promise<Space> {
  const { bavail, blocks, bsize, files, ffree } = await statfs(dir);
  return { free: bavail * bsize, total: blocks * bsize, filesFree: ffree, filesTotal: files };
}
