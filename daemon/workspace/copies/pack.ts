import { closeSync } from 'node:fs';
import type { Stats } from 'node:fs';
import type { ByteString } from '#contract/path-bytes.ts';
import { Beneath } from '../../artifacts/beneath.ts';
import { isOpaque, isWhiteout } from '../../artifacts/overlay.ts';
import type { Xattrs } from '../../artifacts/xattr.ts';
import { TarWriter } from './tar-writer.ts';

export type PackRequest = {
  /** The directories of an overlay, uppermost first. */
  lower: readonly string[];
  /** Whom everything belongs to where it is unpacked. */
  owner: { uid: number; gid: number };
};

type Pieces = Generator<Uint8Array<ArrayBuffer>>;
type Part = { dir: Beneath; name: ByteString };

const namesMax = 4_000_000;

/**
 * What an overlay of these directories would show, as a tar stream, without mounting anything. The
 * first entry is the directory itself, called `/`: an engine gives a `.` to nobody.
 */
export function* packView({ lower, owner }: PackRequest, xattrs: Xattrs): Pieces {
  const roots: Beneath[] = [];
  try {
    for (const path of lower) roots.push(Beneath.open(path));
    const tar = new TarWriter(owner);
    yield* tar.entry(dirEntry('/', undefined));
    yield* new Packing(tar, xattrs).directory(roots, '');
    yield* tar.end();
  } finally {
    for (const root of roots) root[Symbol.dispose]();
  }
}

class Packing {
  readonly #tar: TarWriter;
  readonly #xattrs: Xattrs;

  constructor(tar: TarWriter, xattrs: Xattrs) {
    this.#tar = tar;
    this.#xattrs = xattrs;
  }

  *directory(parts: readonly Beneath[], prefix: ByteString): Pieces {
    for (const [name, holders] of holdersOf(parts)) {
      yield* this.#entry(holders, prefix === '' ? name : `${prefix}/${name}`);
    }
  }

  *#entry(holders: readonly Part[], path: ByteString): Pieces {
    const [top] = holders;
    const stat = top?.dir.lstat(top.name);
    if (top === undefined || stat === undefined || isWhiteout(stat)) return;
    if (stat.isDirectory()) {
      yield* this.#tar.entry(dirEntry(`${path}/`, stat));
      const merged: Beneath[] = [];
      try {
        for (const { dir, name } of holders) {
          if (!(dir.lstat(name)?.isDirectory() ?? false)) break;
          merged.push(dir.dir(name));
          if (isOpaque(this.#xattrs, dir.at(name))) break;
        }
        yield* this.directory(merged, path);
      } finally {
        for (const each of merged) each[Symbol.dispose]();
      }
    } else if (stat.isSymbolicLink()) {
      const target = top.dir.readlink(top.name);
      const about = { kind: 'symlink', name: path, target, mode: 0o777, size: 0 } as const;
      yield* this.#tar.entry({ ...about, mtime: seconds(stat) });
    } else yield* this.#file(top, path);
  }

  *#file({ dir, name }: Part, path: ByteString): Pieces {
    const file = dir.file(name);
    if (file === undefined) return;
    try {
      const { mode, size } = file.stat;
      const about = { kind: 'file', name: path, target: '', size } as const;
      const executable = (mode & 0o100) !== 0;
      const entry = { ...about, mode: executable ? 0o755 : 0o644, mtime: seconds(file.stat) };
      yield* this.#tar.file(entry, file.fd);
    } finally {
      closeSync(file.fd);
    }
  }
}

/** Each name once, in byte order, with the directories that have it, uppermost first. */
function holdersOf(parts: readonly Beneath[]): [ByteString, Part[]][] {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) {
    return only.list(namesMax).map((name) => [name, [{ dir: only, name }]]);
  }
  const names = new Map<ByteString, Part[]>();
  for (const dir of parts) {
    for (const name of dir.list(namesMax)) {
      const holders = names.get(name);
      if (holders) holders.push({ dir, name });
      else names.set(name, [{ dir, name }]);
    }
  }
  return [...names].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function dirEntry(name: ByteString, stat: Stats | undefined) {
  const mtime = stat === undefined ? 0 : seconds(stat);
  return { kind: 'dir', name, target: '', mode: 0o755, size: 0, mtime } as const;
}

const seconds = ({ mtimeMs }: Stats): number => Math.max(0, Math.floor(mtimeMs / 1000));
