import { OrchestraError } from '#contract/errors.ts';
import type { ByteString } from '#contract/path-bytes.ts';
import { Beneath } from '../artifacts/beneath.ts';
import { heldFiles } from './held.ts';

/** What files take on their file system: allocated bytes, and how many entries there are. */
export type DiskUse = { bytes: number; files: number };

export type MeasureRequest = {
  /** Each on the same file system. What cannot be opened any more counts as empty. */
  dirs: readonly string[];
  /** Counting stops above this: how much more there is does not matter. */
  filesMax: number;
  /** Processes whose files may have no name any more and still take room. */
  processes?: readonly number[] | undefined;
};

const depthMax = 512;

/**
 * Measures while somebody else writes, renames and removes: no link is followed, nothing outside
 * is opened, what is gone is passed over. Bytes are those that the file system allocated, so holes
 * cost nothing and what is reserved counts; a file with several names counts once.
 *
 * Undefined when there are more than `entriesMax` entries to look at. Throws `workspace.too_large` for
 * a tree that is nested without end.
 */
export function measure(request: MeasureRequest, entriesMax?: number): DiskUse | undefined {
  const count = new Count(request.filesMax, entriesMax ?? Number.POSITIVE_INFINITY);
  for (const path of request.dirs) {
    const dir = openOr(() => Beneath.open(path));
    if (dir === undefined) continue;
    using root = dir;
    count.directory(root, 0);
  }
  if (count.isGivenUp) return undefined;
  for (const { id, bytes } of heldFiles(request.processes ?? [])) count.file(id, bytes);
  return count.use;
}

class Count {
  readonly use: DiskUse = { bytes: 0, files: 0 };
  readonly #filesMax: number;
  readonly #entriesMax: number;
  readonly #linked = new Set<string>();

  constructor(filesMax: number, entriesMax: number) {
    this.#filesMax = filesMax;
    this.#entriesMax = entriesMax;
  }

  get isGivenUp(): boolean {
    return this.use.files > this.#entriesMax;
  }

  get #isOver(): boolean {
    return this.isGivenUp || this.use.files > this.#filesMax;
  }

  /** One file, once, under whatever name it comes. */
  file(id: string, bytes: number): void {
    if (this.#linked.has(id)) return;
    this.#linked.add(id);
    this.use.bytes += bytes;
    this.use.files += 1;
  }

  directory(dir: Beneath, depth: number): void {
    if (depth > depthMax) {
      // Nothing that deep can be sealed, and it must not be a place to hide bytes in.
      throw new OrchestraError(
        'workspace.too_large',
        `The task left directories nested deeper than ${depthMax}`,
      );
    }
    if (this.#isOver) return;
    for (const name of this.#names(dir)) {
      const stat = openOr(() => dir.lstat(name));
      if (stat === undefined) continue;
      const bytes = stat.blocks * 512;
      if (stat.nlink > 1 && !stat.isDirectory()) this.file(`${stat.dev}:${stat.ino}`, bytes);
      else {
        this.use.bytes += bytes;
        this.use.files += 1;
      }
      if (stat.isDirectory()) {
        const child = openOr(() => dir.dir(name));
        if (child === undefined) continue;
        using here = child;
        this.directory(here, depth + 1);
      }
      if (this.#isOver) return;
    }
  }

  #names(dir: Beneath): ByteString[] {
    const room = Math.min(this.#filesMax, this.#entriesMax) - this.use.files + 1;
    try {
      return dir.list(room);
    } catch (cause) {
      if (!(cause instanceof RangeError)) return [];
      this.use.files += room + 1;
      return [];
    }
  }
}

/** Undefined for what is gone, or has become something else, since its name was read. */
function openOr<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== undefined && passing.has(code)) return undefined;
    throw cause;
  }
}

const passing: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ESTALE']);
