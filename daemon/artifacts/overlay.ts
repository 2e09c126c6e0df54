import type { Stats } from 'node:fs';
import type { ByteString } from '#contract/path-bytes.ts';
import { Beneath } from './beneath.ts';
import type { Xattrs } from './xattr.ts';

export const opaqueName = 'user.overlay.opaque';

/** The kernel's mark for "deleted": a character device 0:0. No task can make one of its own. */
export function isWhiteout(stat: Stats): boolean {
  return stat.isCharacterDevice() && stat.rdev === 0;
}

/** The kernel's mark for "nothing of below shows through this directory". */
export function isOpaque(xattrs: Xattrs, path: string | Buffer): boolean {
  return xattrs.get(path, opaqueName) === 'y';
}

export type Found =
  | { kind: 'directory'; directory: MergedDir }
  | { kind: 'file'; fd: number; size: number; executable: boolean }
  | { kind: 'symlink' }
  | { kind: 'special' };

/** One directory as a task saw it, read without mounting anything: uppermost directory first. */
export class MergedDir implements Disposable {
  readonly #parts: Beneath[];
  readonly #xattrs: Xattrs;

  private constructor(parts: Beneath[], xattrs: Xattrs) {
    this.#parts = parts;
    this.#xattrs = xattrs;
  }

  static open(roots: readonly string[], xattrs: Xattrs): MergedDir {
    const merged = new MergedDir([], xattrs);
    try {
      for (const root of roots) merged.#parts.push(Beneath.open(root));
    } catch (cause) {
      merged[Symbol.dispose]();
      throw cause;
    }
    return merged;
  }

  /** The caller closes what it gets. `undefined` when nothing of that name is visible. */
  find(name: ByteString): Found | undefined {
    const merged = new MergedDir([], this.#xattrs);
    for (const part of this.#parts) {
      const stat = part.lstat(name);
      if (stat === undefined) continue;
      if (isWhiteout(stat)) break;
      if (stat.isDirectory()) {
        merged.#parts.push(part.dir(name));
        if (isOpaque(this.#xattrs, part.at(name))) break;
        continue;
      }
      // Below a directory, a file of the same name is hidden.
      if (merged.#parts.length > 0) break;
      if (stat.isSymbolicLink()) return { kind: 'symlink' };
      const file = part.file(name);
      if (file === undefined) return { kind: 'special' };
      const { size, mode } = file.stat;
      return { kind: 'file', fd: file.fd, size, executable: (mode & 0o100) !== 0 };
    }
    return merged.#parts.length === 0 ? undefined : { kind: 'directory', directory: merged };
  }

  /** Every name in any part, in byte order; `find` says whether it is visible. */
  names(max: number): ByteString[] {
    const names = new Set<ByteString>();
    for (const part of this.#parts) for (const name of part.list(max)) names.add(name);
    return [...names].sort();
  }

  [Symbol.dispose](): void {
    for (const part of this.#parts) part[Symbol.dispose]();
  }
}
