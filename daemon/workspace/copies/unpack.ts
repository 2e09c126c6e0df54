import { createHash, type Hash } from 'node:crypto';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import { type ByteString, bytesOfText, textOfBytes } from '#contract/path-bytes.ts';
import type { LeftOut, TreeEntry } from '#contract/snapshot.ts';
import { hostPath } from '../../artifacts/beneath.ts';
import { type MakeWhiteout, openWhiteouts } from '../../artifacts/whiteout.ts';
import type { Batch } from '../batches.ts';
import type { DiskUse } from '../measure.ts';
import type { Place, Stack } from '../operations.ts';
import { snapshotDir } from '../places.ts';
import { readLayer, readManifest } from '../manifest.ts';
import { Tree } from '../tree.ts';
import { badTar, type TarEntry } from './tar-header.ts';
import { TarReader } from './tar-reader.ts';

export type UnpackRequest = {
  place: Place;
  /** Of the layer: what the task changed comes into its upper directory, which is empty. */
  id: string;
  /** What was sent. */
  stack: Stack;
  /** More than this nobody wants to have: then it stops, and says so. */
  allowance: DiskUse;
};

export type Unpacked = {
  /** Bytes and files that were written. */
  use: DiskUse;
  /** They are more than was allowed, and not all that there is. */
  isOver: boolean;
  leftOut: LeftOut[];
  leftOutCount: number;
};

type File = TreeEntry & { type: 'file' };
type Kind = 'dir' | 'special' | 'symlink' | 'file';
type Seen = { kind: Kind; kept?: { entry: File; origin: number } };

/** What is compared before it is written; larger ones go to the disk first. */
const heldBytesMax = 8 << 20;
const leftOutMax = 1000;

/**
 * Reads back what a task left of what was sent to it, as an engine tells it, and makes of it the
 * upper directory that the kernel would have made of the same task. Nothing of the stream is
 * believed: names lead nowhere but beneath, every directory in a path came as a directory before,
 * and how much there may be of everything is bounded by what was sent and by what is allowed.
 */
export class Unpack {
  readonly #place: Place;
  readonly #upper: ByteString;
  readonly #spool: string;
  readonly #below: Tree;
  readonly #origins: readonly ByteString[];
  readonly #allowance: DiskUse;
  readonly #reader = new TarReader({
    entry: (entry) => this.#entry(entry),
    content: (bytes) => this.#content?.take(bytes),
    done: () => this.#done(),
  });
  readonly #seen = new Map<ByteString, Seen>();
  /** Directories that are there in the upper one. */
  readonly #made = new Set<ByteString>(['']);
  readonly #owner: { uid: number; gid: number } | undefined;
  readonly #entriesMax: number;
  readonly #result: Unpacked = {
    use: { bytes: 0, files: 0 },
    isOver: false,
    leftOut: [],
    leftOutCount: 0,
  };
  #root: ByteString | undefined;
  #content: Content | undefined;
  #bytes = 0;
  #makeWhiteout: MakeWhiteout | undefined;

  constructor({ place, id, stack, allowance }: UnpackRequest) {
    this.#place = place;
    const dir = join(place.stateDir, 'l', id);
    this.#upper = Buffer.from(join(dir, 'u')).toString('latin1');
    this.#spool = join(dir, 'spool');
    this.#allowance = allowance;
    const manifest = readManifest(place.stateDir, stack.snapshot);
    this.#below = Tree.of(manifest);
    const layers = stack.ancestors.map(({ layer }) => readLayer(place.stateDir, layer));
    let sent = manifest.length;
    for (const [i, layer] of layers.entries()) {
      this.#below.apply(layer.entries, i + 1);
      sent += layer.entries.length;
    }
    this.#origins = [
      join(snapshotDir(place.stateDir, stack.snapshot), 'tree'),
      ...layers.map(({ upper }) => upper),
    ].map((path) => Buffer.from(path).toString('latin1'));
    this.#entriesMax = sent + place.limits.entriesMax;
    this.#owner = process.getuid?.() === 0 ? { uid: place.uid, gid: place.gid } : undefined;
  }

  take(batch: Batch): void {
    for (const chunk of batch) {
      if (this.#result.isOver) return;
      this.#reader.take(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    }
  }

  /** Whatever else comes is of no use. */
  get isOver(): boolean {
    return this.#result.isOver;
  }

  /** Everything has come. */
  end(): Unpacked {
    if (this.#result.isOver) return this.#result;
    this.#reader.end();
    if (this.#root === undefined) throw badTar('nothing in it');
    this.#deleteMissing('');
    return this.#result;
  }

  /** In any state: what was opened is closed. */
  abort(): void {
    this.#content?.abort();
    this.#content = undefined;
    fs.rmSync(this.#spool, { force: true });
  }

  #entry(entry: TarEntry): void {
    this.#content = undefined;
    if (this.#result.isOver) return;
    const path = this.#pathOf(entry.name);
    if (path === undefined) {
      if (entry.kind !== 'dir') throw badTar('a workspace that is no directory');
      return;
    }
    if (this.#seen.size >= this.#entriesMax) {
      throw tooLarge(`more than ${this.#place.limits.entriesMax} entries`);
    }
    const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    if (parent !== '' && this.#seen.get(parent)?.kind !== 'dir') {
      throw badTar('a path whose directory did not come before it');
    }
    if (this.#seen.has(path)) throw badTar('a path that comes twice');
    const text = textOfBytes(path);
    const below = this.#below.get(text);
    switch (entry.kind) {
      case 'dir':
        this.#seen.set(path, { kind: 'dir' });
        if (below?.type !== 'dir') this.#makeDir(path);
        return;
      case 'symlink':
        this.#seen.set(path, { kind: 'symlink' });
        this.#symlink(path, entry.target, below);
        return;
      case 'file':
        this.#file(path, text, entry, below);
        return;
      case 'hard link':
        this.#hardLink(path, text, entry.target, below);
        return;
      case 'fifo':
      case 'device':
        this.#seen.set(path, { kind: 'special' });
        this.#leaveOut(text, entry.kind);
    }
  }

  /** Beneath the directory that the stream is about; undefined for that directory itself. */
  #pathOf(name: ByteString): ByteString | undefined {
    const parts = name.replace(/\/+$/, '').split('/');
    const [root = '', ...rest] = parts;
    if (parts.some((part) => part === '' || part === '.' || part === '..')) {
      throw badTar('a path that leads elsewhere');
    }
    this.#root ??= root;
    if (root !== this.#root) throw badTar('more than one directory');
    const path = rest.join('/');
    if (path.length > this.#place.limits.pathBytesMax) throw tooLarge('a path that is too long');
    return rest.length === 0 ? undefined : path;
  }

  #file(path: ByteString, text: string, entry: TarEntry, below: TreeEntry | undefined): void {
    const executable = (entry.mode & 0o100) !== 0;
    if ((entry.mode & 0o6000) !== 0) this.#leaveOut(text, 'set-id');
    const isAlike =
      below?.type === 'file' && below.bytes === entry.size && below.executable === executable;
    const seen: Seen = { kind: 'file' };
    this.#seen.set(path, seen);
    if (!isAlike) {
      this.#countBytes(entry.size);
      this.#wrote(0, 1);
      this.#content = new Written(this.#create(path, executable), entry, (bytes) =>
        this.#wrote(bytes, 0),
      );
      return;
    }
    const unlike = (place: (to: string | Buffer) => void) => {
      this.#countBytes(entry.size);
      fs.closeSync(this.#create(path, executable));
      place(this.#at(path));
      this.#own(path, executable ? 0o755 : 0o644, timeOf(entry));
      this.#wrote(entry.size, 1);
    };
    const compare = {
      digest: below.digest,
      same: () => {
        seen.kept = { entry: below, origin: this.#below.origin(text) };
      },
      unlike,
    };
    this.#content =
      entry.size <= heldBytesMax
        ? new Held(entry.size, compare)
        : new Spooled(this.#spool, compare);
  }

  /** Another name of a file that came before. */
  #hardLink(
    path: ByteString,
    text: string,
    target: ByteString,
    below: TreeEntry | undefined,
  ): void {
    const to = this.#pathOf(target);
    const source = to === undefined ? undefined : this.#seen.get(to);
    if (to === undefined || source?.kind !== 'file') throw badTar('a link to what is not there');
    const { kept } = source;
    const isSame =
      kept !== undefined &&
      below?.type === 'file' &&
      below.digest === kept.entry.digest &&
      below.executable === kept.entry.executable;
    if (isSame) {
      this.#seen.set(path, {
        kind: 'file',
        kept: { entry: below, origin: this.#below.origin(text) },
      });
      return;
    }
    this.#seen.set(path, { kind: 'file' });
    this.#ensureParent(path);
    if (kept === undefined) {
      fs.linkSync(this.#at(to), this.#at(path));
      const { size } = fs.lstatSync(this.#at(path));
      this.#countBytes(size);
      this.#wrote(0, 1);
      return;
    }
    this.#countBytes(kept.entry.bytes);
    const from = hostPath(`${this.#origins[kept.origin] ?? ''}/${bytesOfText(kept.entry.path)}`);
    fs.copyFileSync(from, this.#at(path), fs.constants.COPYFILE_EXCL);
    this.#own(path, kept.entry.executable ? 0o755 : 0o644, undefined);
    this.#wrote(kept.entry.bytes, 1);
  }

  #symlink(path: ByteString, target: ByteString, below: TreeEntry | undefined): void {
    if (target === '') throw badTar('a link without a target');
    if (below?.type === 'symlink' && bytesOfText(below.target) === target) return;
    this.#ensureParent(path);
    fs.symlinkSync(hostPath(target), this.#at(path));
    if (this.#owner) fs.lchownSync(this.#at(path), this.#owner.uid, this.#owner.gid);
    this.#wrote(0, 1);
  }

  #done(): void {
    const content = this.#content;
    this.#content = undefined;
    content?.end();
  }

  #create(path: ByteString, executable: boolean): number {
    this.#ensureParent(path);
    const mode = executable ? 0o755 : 0o644;
    const fd = fs.openSync(this.#at(path), 'wx', mode);
    fs.fchmodSync(fd, mode);
    if (this.#owner) fs.fchownSync(fd, this.#owner.uid, this.#owner.gid);
    return fd;
  }

  #own(path: ByteString, mode: number, mtime: number | undefined): void {
    const at = this.#at(path);
    fs.chmodSync(at, mode);
    if (this.#owner) fs.chownSync(at, this.#owner.uid, this.#owner.gid);
    if (mtime !== undefined) fs.utimesSync(at, mtime, mtime);
  }

  /** As the kernel does where something in it is about to change. */
  #ensureParent(path: ByteString): void {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    if (this.#made.has(parent)) return;
    this.#makeDir(parent);
  }

  #makeDir(path: ByteString): void {
    if (this.#made.has(path)) return;
    this.#ensureParent(path);
    const at = this.#at(path);
    fs.mkdirSync(at, 0o755);
    fs.chmodSync(at, 0o755);
    if (this.#owner) fs.lchownSync(at, this.#owner.uid, this.#owner.gid);
    this.#made.add(path);
    this.#wrote(0, 1);
  }

  /** What was sent and did not come back was deleted. */
  #deleteMissing(dir: ByteString): void {
    for (const child of this.#below.children(textOfBytes(dir))) {
      const path = bytesOfText(child.path);
      const seen = this.#seen.get(path);
      if (seen === undefined) {
        this.#ensureParent(path);
        this.#makeWhiteout ??= openWhiteouts();
        this.#makeWhiteout(this.#at(path));
      } else if (seen.kind === 'dir' && child.type === 'dir') this.#deleteMissing(path);
    }
  }

  /** Every path in it was made here, directory by directory, so none leads through a link. */
  #at(path: ByteString): string | Buffer {
    return hostPath(`${this.#upper}/${path}`);
  }

  #countBytes(bytes: number): void {
    this.#bytes += bytes;
    const { bytesMax } = this.#place.limits;
    if (this.#bytes > bytesMax) throw tooLarge(`more than ${bytesMax} bytes`);
  }

  #wrote(bytes: number, files: number): void {
    const { use } = this.#result;
    use.bytes += bytes;
    use.files += files;
    if (use.bytes <= this.#allowance.bytes && use.files <= this.#allowance.files) return;
    this.#result.isOver = true;
  }

  #leaveOut(path: string, reason: LeftOut['reason']): void {
    this.#result.leftOutCount += 1;
    if (this.#result.leftOut.length < leftOutMax) this.#result.leftOut.push({ path, reason });
  }
}

interface Content {
  take(bytes: Buffer): void;
  end(): void;
  abort(): void;
}

/** Straight to its place. Blocks of zeros stay holes: a file may be mostly that. */
class Written implements Content {
  readonly #fd: number;
  readonly #entry: TarEntry;
  readonly #wrote: (bytes: number) => void;
  #at = 0;

  constructor(fd: number, entry: TarEntry, wrote: (bytes: number) => void) {
    this.#fd = fd;
    this.#entry = entry;
    this.#wrote = wrote;
  }

  take(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += holeBytes) {
      const part = bytes.subarray(at, at + holeBytes);
      if (part.length < holeBytes || !part.equals(zeros)) {
        writeAll(this.#fd, part, this.#at + at);
        this.#wrote(part.length);
      }
    }
    this.#at += bytes.length;
  }

  end(): void {
    try {
      const mtime = timeOf(this.#entry);
      fs.ftruncateSync(this.#fd, this.#entry.size);
      fs.futimesSync(this.#fd, mtime, mtime);
    } finally {
      fs.closeSync(this.#fd);
    }
  }

  abort(): void {
    fs.closeSync(this.#fd);
  }
}

type Compare = {
  digest: Digest;
  same(): void;
  /** `place` puts the content where it belongs. */
  unlike(place: (to: string | Buffer) => void): void;
};

/** Kept until it is known whether it changed. */
class Held implements Content {
  readonly #bytes: Buffer;
  readonly #compare: Compare;
  readonly #hash: Hash = createHash('sha256');
  #filled = 0;

  constructor(size: number, compare: Compare) {
    this.#bytes = Buffer.allocUnsafe(size);
    this.#compare = compare;
  }

  take(bytes: Buffer): void {
    this.#hash.update(bytes);
    this.#filled += bytes.copy(this.#bytes, this.#filled);
  }

  end(): void {
    if (`sha256:${this.#hash.digest('hex')}` === this.#compare.digest) this.#compare.same();
    else this.#compare.unlike((to) => fs.writeFileSync(to, this.#bytes));
  }

  abort(): void {}
}

/** The same on the disk, for what is large. */
class Spooled implements Content {
  readonly #path: string;
  readonly #compare: Compare;
  readonly #hash: Hash = createHash('sha256');
  readonly #fd: number;

  constructor(path: string, compare: Compare) {
    this.#path = path;
    this.#compare = compare;
    this.#fd = fs.openSync(path, 'wx', 0o600);
  }

  take(bytes: Buffer): void {
    this.#hash.update(bytes);
    writeAll(this.#fd, bytes, undefined);
  }

  end(): void {
    fs.closeSync(this.#fd);
    if (`sha256:${this.#hash.digest('hex')}` === this.#compare.digest) {
      this.#compare.same();
      fs.unlinkSync(this.#path);
    } else this.#compare.unlike((to) => fs.renameSync(this.#path, to));
  }

  abort(): void {
    fs.closeSync(this.#fd);
  }
}

/** What every file system can keep. */
const timeOf = ({ mtime }: TarEntry): number => Math.min(mtime, 0x7fff_ffff);

const holeBytes = 4096;
const zeros = Buffer.alloc(holeBytes);

function writeAll(fd: number, bytes: Buffer, at: number | undefined): void {
  for (let done = 0; done < bytes.length;) {
    const position = at === undefined ? null : at + done;
    done += fs.writeSync(fd, bytes, done, bytes.length - done, position);
  }
}

function tooLarge(what: string): OrchestraError {
  return new OrchestraError('workspace.too_large', `The task left ${what}`);
}
