import { createHash, type Hash } from 'node:crypto';
import * as fs from 'node:fs';
import { basename, join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import { type ByteString, bytesOfText, textOfBytes } from '#contract/path-bytes.ts';
import type { LayerEntry } from '#contract/snapshot.ts';
import { Beneath } from '../artifacts/beneath.ts';
import { isOpaque, isWhiteout } from '../artifacts/overlay.ts';
import { hashFile } from '../artifacts/store-file.ts';
import type { Xattrs } from '../artifacts/xattr.ts';
import { readLayer } from './manifest.ts';
import type { Operations, Place } from './operations.ts';
import { layerLink } from './places.ts';

/** `stamp` is what a later check may be given; `path` names what is not as it was, where it is known. */
export type LayerCheck =
  { state: 'sound'; stamp: string } | { state: 'missing' } | { state: 'damaged'; path: string };

const blockBytes = 256 << 10;

/**
 * Whether what lies in a sealed layer's directory is what its digest says: nothing more, nothing
 * less, and every file byte by byte. Where all files are those of an earlier check by number, size
 * and time - its stamp - their bytes are not read again.
 */
export function checkLayer(
  { place: { stateDir }, layer, stamp: known }: Operations['check']['args'],
  xattrs: Xattrs,
): LayerCheck {
  let manifest: ReturnType<typeof readLayer>;
  try {
    manifest = readLayer(stateDir, layer);
  } catch (cause) {
    if (!(cause instanceof OrchestraError)) throw cause;
    // A link that leads nowhere is a layer that lost everything.
    if (cause.code !== 'snapshot.unknown') return { state: 'damaged', path: 'layer.json' };
    const link = fs.lstatSync(layerLink(stateDir, layer), { throwIfNoEntry: false });
    return link === undefined ? { state: 'missing' } : { state: 'damaged', path: 'layer.json' };
  }
  try {
    const stamp = new Stamp();
    const look = new Look(manifest.entries, xattrs);
    {
      using upper = Beneath.open(manifest.upper);
      look.directory(upper, '', (_dir, _name, path, stat) => stamp.add(path, stat));
      look.end();
    }
    const value = stamp.value();
    if (value === known) return { state: 'sound', stamp: value };
    const block = Buffer.allocUnsafeSlow(blockBytes);
    using upper = Beneath.open(manifest.upper);
    new Look(manifest.entries, xattrs).directory(upper, '', (dir, name, path, stat, entry) => {
      if (digestOfFile(dir, name, stat, block) !== entry.digest) throw new Unlike(path);
    });
    return { state: 'sound', stamp: value };
  } catch (cause) {
    if (cause instanceof Unlike) return { state: 'damaged', path: textOfBytes(cause.path) };
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return { state: 'damaged', path: '.' };
    throw cause;
  }
}

/**
 * Takes a damaged layer's name away, so that an equal one can have it. Its directory stays for
 * whoever has it mounted, and looks like an attempt that was left behind: the next start removes it.
 */
export function putLayerAside({ stateDir }: Pick<Place, 'stateDir'>, layer: Digest): void {
  const link = layerLink(stateDir, layer);
  let id: string;
  try {
    id = basename(fs.readlinkSync(link));
    fs.unlinkSync(link);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw cause;
  }
  const manifest = join(stateDir, 'l', id, 'layer.json');
  try {
    fs.renameSync(manifest, `${manifest}.damaged`);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw cause;
  }
}

/** Names the files of a directory by what any write to one of them would change. */
export class Stamp {
  readonly #hash: Hash = createHash('sha256');

  add(path: ByteString, { ino, size, mtimeMs }: fs.Stats): void {
    // Whole milliseconds, because a time that was read and set again is a little less exact.
    this.#hash.update(`${ino} ${size} ${Math.round(mtimeMs)} ${path}\0`, 'latin1');
  }

  value(): string {
    return this.#hash.digest('hex').slice(0, 32);
  }
}

class Unlike extends Error {
  readonly path: ByteString;

  constructor(path: ByteString) {
    super('not what the manifest says');
    this.path = path;
  }
}

type FileEntry = Extract<LayerEntry, { type: 'file' }>;
type EachFile = (
  dir: Beneath,
  name: ByteString,
  path: ByteString,
  stat: fs.Stats,
  entry: FileEntry,
) => void;

/** Compares a directory with a manifest, all but the bytes of the files. */
class Look {
  readonly #entries = new Map<ByteString, LayerEntry>();
  /** Directories that are there only because something is in them. */
  readonly #between = new Set<ByteString>();
  readonly #xattrs: Xattrs;
  #met = 0;

  constructor(entries: readonly LayerEntry[], xattrs: Xattrs) {
    this.#xattrs = xattrs;
    for (const entry of entries) {
      const path = bytesOfText(entry.path);
      this.#entries.set(path, entry);
      let slash = path.lastIndexOf('/');
      for (; slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
        const dir = path.slice(0, slash);
        if (this.#between.has(dir)) break;
        this.#between.add(dir);
      }
    }
  }

  directory(dir: Beneath, prefix: ByteString, each: EachFile): void {
    for (const { name } of dir.entries(this.#entries.size + this.#between.size)) {
      const path = prefix === '' ? name : `${prefix}/${name}`;
      const stat = dir.lstat(name);
      const entry = this.#entries.get(path);
      if (stat === undefined) throw new Unlike(path);
      if (entry !== undefined) this.#met += 1;
      if (stat.isDirectory()) this.#child(dir, { name, path, entry }, each);
      else if (entry?.type === 'file' && stat.isFile()) {
        const isExecutable = (stat.mode & 0o100) !== 0;
        if (stat.size !== entry.bytes || isExecutable !== entry.executable) throw new Unlike(path);
        each(dir, name, path, stat, entry);
      } else if (entry?.type === 'symlink' && stat.isSymbolicLink()) {
        if (dir.readlink(name) !== bytesOfText(entry.target)) throw new Unlike(path);
      } else if (entry?.type !== 'whiteout' || !isWhiteout(stat)) throw new Unlike(path);
    }
  }

  /** After everything was looked at: whether anything was not there. */
  end(): void {
    if (this.#met !== this.#entries.size) throw new Unlike('.');
  }

  #child(
    dir: Beneath,
    { name, path, entry }: { name: ByteString; path: ByteString; entry: LayerEntry | undefined },
    each: EachFile,
  ): void {
    const isKnown = entry === undefined ? this.#between.has(path) : entry.type === 'dir';
    const opaque = entry?.type === 'dir' && entry.opaque === true;
    if (!isKnown || isOpaque(this.#xattrs, dir.at(name)) !== opaque) throw new Unlike(path);
    using child = dir.dir(name);
    this.directory(child, path, each);
  }
}

function digestOfFile(
  dir: Beneath,
  name: ByteString,
  { size }: fs.Stats,
  block: Buffer,
): Digest | undefined {
  const file = dir.listedFile(name);
  if (file === undefined) return undefined;
  try {
    return hashFile(file.fd, block.subarray(0, Math.min(blockBytes, size + 1)));
  } finally {
    fs.closeSync(file.fd);
  }
}
