import { fstatSync, ftruncateSync } from 'node:fs';
import { createRequire } from 'node:module';
import type koffi from 'koffi';

const MiB = 1024 * 1024;

/**
 * Room on the disk that belongs to a file before anything is written there: however full the disk
 * gets meanwhile, and whoever fills it, so much can still be appended. The size of the file does not
 * change, so a reader sees nothing of it. Where the file system or the platform has no such thing,
 * nothing is lost but this.
 */
export class RoomAhead {
  readonly #fd: number;
  readonly #aheadBytes: number;
  #size: number;
  #until: number;
  #isOver = false;
  readonly #allocate: Fallocate;

  constructor(fd: number, size: number, aheadBytes = 4 * MiB) {
    this.#aheadBytes = aheadBytes;
    this.#allocate = findFallocate();
    this.#fd = fd;
    this.#size = size;
    this.#until = size;
    this.#take();
  }

  /** To be told of each append; takes more once half of it is used up. */
  used(bytes: number): void {
    this.#size += bytes;
    if (this.#until - this.#size < this.#aheadBytes / 2) this.#take();
  }

  /** What was not needed is free again. */
  giveBack(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    try {
      ftruncateSync(this.#fd, fstatSync(this.#fd).size);
    } catch {
      // Room that stays taken harms nobody; the next start takes it over.
    }
  }

  #take(): void {
    const failed = this.#allocate(this.#fd, keepSize, this.#size, this.#aheadBytes);
    if (failed === 0) this.#until = this.#size + this.#aheadBytes;
  }
}

const keepSize = 1;
type Fallocate = (fd: number, mode: number, offset: number, length: number) => number;

function findFallocate(): Fallocate {
  try {
    const { load } = createRequire(import.meta.url)('koffi') as Pick<typeof koffi, 'load'>;
    return load('libc.so.6').func(
      'int fallocate(int fd, int mode, int64_t offset, int64_t length)',
    ) as Fallocate;
  } catch {
    return () => -1;
  }
}
