import * as fs from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '#contract/ids.ts';
import type { ByteString } from '#contract/path-bytes.ts';
import { hostPath } from '../artifacts/beneath.ts';
import { blobPath, type BlobVariant, blobVariants } from '../artifacts/blob-path.ts';
import type { Place } from './operations.ts';

/**
 * All files of a snapshot carry this time, whatever their history: a build that compares times
 * must not depend on which files an earlier upload happened to bring.
 */
const time = 946_684_800; // 2000-01-01

/** Writes a tree of files that belong to the sandbox user and are hard links into the blobs. */
export class TreeWriter {
  readonly root: ByteString;
  readonly blobs: string;
  readonly #owner: { uid: number; gid: number } | undefined;
  readonly #umask = process.umask();
  readonly #prefixes = new Map<string, Set<string> | undefined>();

  constructor(root: string, { stateDir, uid, gid }: Place) {
    this.root = Buffer.from(root).toString('latin1');
    this.blobs = join(stateDir, 'blobs');
    // Only root can give files away; elsewhere sandbox and daemon have to be the same user.
    this.#owner = process.getuid?.() === 0 ? { uid, gid } : undefined;
    this.#own(fs.openSync(root, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY), 0o755);
  }

  at(path: ByteString): string | Buffer {
    return hostPath(`${this.root}/${path}`);
  }

  dir(path: ByteString): void {
    const at = this.at(path);
    fs.mkdirSync(at, 0o755);
    if ((this.#umask & 0o755) !== 0) fs.chmodSync(at, 0o755);
    if (this.#owner) fs.lchownSync(at, this.#owner.uid, this.#owner.gid);
  }

  link(path: ByteString, target: ByteString): void {
    const at = this.at(path);
    fs.symlinkSync(hostPath(target), at);
    if (this.#owner) fs.lchownSync(at, this.#owner.uid, this.#owner.gid);
  }

  /** The caller writes, then calls `settle`, closes, and calls `adopt`. */
  create(path: ByteString, executable: boolean): number {
    const mode = executable ? 0o755 : 0o644;
    const fd = fs.openSync(this.at(path), 'wx', mode);
    if ((this.#umask & mode) !== 0) fs.fchmodSync(fd, mode);
    return fd;
  }

  settle(fd: number): void {
    if (this.#owner) fs.fchownSync(fd, this.#owner.uid, this.#owner.gid);
    fs.futimesSync(fd, time, time);
  }

  /** Takes a finished file into the blobs, or exchanges it for the blob that is there. */
  adopt(path: ByteString, digest: Digest, executable: boolean): void {
    const blob = blobPath(this.blobs, digest, executable ? '.x' : '.f');
    const born = this.#prefix(digest);
    try {
      fs.linkSync(this.at(path), blob);
      born?.add(blob);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
      fs.unlinkSync(this.at(path));
      this.linkTo(path, blob, executable);
    }
  }

  /** True when exactly this file was there already and is linked now. */
  linkExact(path: ByteString, digest: Digest, executable: boolean): boolean {
    const blob = blobPath(this.blobs, digest, executable ? '.x' : '.f');
    const born = this.#prefix(digest);
    if (born === undefined ? sizeOf(blob) === undefined : !born.has(blob)) return false;
    this.linkTo(path, blob, executable);
    return true;
  }

  /**
   * The directory of a blob is made where it was missing; then all that is in it is what was put
   * there since, and nobody has to ask the disk. Another upload's blob is found when it is linked.
   */
  #prefix(digest: Digest): Set<string> | undefined {
    const prefix = digest.slice(7, 9);
    if (this.#prefixes.has(prefix)) return this.#prefixes.get(prefix);
    const made = fs.mkdirSync(join(this.blobs, prefix), { recursive: true, mode: 0o700 });
    const born = made === undefined ? undefined : new Set<string>();
    this.#prefixes.set(prefix, born);
    return born;
  }

  /** A file may have only so many links (65,000 on ext4): past that the blob gets a fresh copy. */
  linkTo(path: ByteString, blob: string, executable: boolean): void {
    try {
      fs.linkSync(blob, this.at(path));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EMLINK') throw cause;
      this.copyOf(path, blob, executable);
      const next = `${blob}.${process.pid}`;
      fs.linkSync(this.at(path), next);
      fs.renameSync(next, blob);
    }
  }

  copyOf(path: ByteString, source: string | Buffer, executable: boolean): void {
    fs.copyFileSync(source, this.at(path), fs.constants.COPYFILE_EXCL);
    this.#own(fs.openSync(this.at(path), 'r+'), executable ? 0o755 : 0o644, true);
  }

  #own(fd: number, mode: number, timed = false): void {
    try {
      fs.fchmodSync(fd, mode);
      if (this.#owner) fs.fchownSync(fd, this.#owner.uid, this.#owner.gid);
      if (timed) fs.futimesSync(fd, time, time);
    } finally {
      fs.closeSync(fd);
    }
  }
}

/** Makes `path` from content that is there; `undefined` when it is not. Returns its size. */
export function linkBlob(
  writer: TreeWriter,
  path: ByteString,
  digest: Digest,
  executable: boolean,
): number | undefined {
  const wanted: BlobVariant = executable ? '.x' : '.f';
  const exact = blobPath(writer.blobs, digest, wanted);
  const size = sizeOf(exact);
  if (size !== undefined) {
    writer.linkTo(path, exact, executable);
    return size;
  }
  for (const variant of blobVariants) {
    const other = blobPath(writer.blobs, digest, variant);
    const size = sizeOf(other);
    if (size === undefined) continue;
    writer.copyOf(path, other, executable);
    writer.adopt(path, digest, executable);
    return size;
  }
  return undefined;
}

function sizeOf(path: string): number | undefined {
  return fs.lstatSync(path, { throwIfNoEntry: false })?.size;
}
