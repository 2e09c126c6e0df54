import * as fs from 'node:fs';
import { join } from 'node:path';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import { type ByteString, bytesOfText, textOfBytes } from '#contract/path-bytes.ts';
import type { LayerEntry, LeftOut } from '#contract/snapshot.ts';
import { Beneath, type Listed } from '../artifacts/beneath.ts';
import { isOpaque, isWhiteout, opaqueName } from '../artifacts/overlay.ts';
import { freshenSync } from '../artifacts/freshen.ts';
import { hashFile } from '../artifacts/store-file.ts';
import type { Xattrs } from '../artifacts/xattr.ts';
import { type MakeWhiteout, openWhiteouts } from '../artifacts/whiteout.ts';
import { stripAttributes } from './attributes.ts';
import { checkLayer, putLayerAside, Stamp } from './check-layer.ts';
import { layerDigest, type LayerManifest, readLayer, readManifest } from './manifest.ts';
import type { Operations, Place, Stack } from './operations.ts';
import { layerLink } from './places.ts';
import { sameEntry, Tree } from './tree.ts';
import { failpoint } from '../base/failpoints.ts';

/**
 * Reads what the kernel kept of a task's writes and makes it a sealed layer. On the way the
 * directory is brought to its shortest form: what equals the file below goes (the kernel copies a
 * file up when it is merely opened for writing), and so does every mode bit but the executable
 * one. Otherwise one task's untouched copy would hide what another really changed.
 *
 * Content stays where it is. Most of it, an installed tree of packages, nobody ever asks for by
 * its digest; `changes` takes into the blobs what somebody may.
 */
export function sealLayer(
  { place, id, stack }: Operations['seal']['args'],
  xattrs: Xattrs,
): Operations['seal']['value'] {
  const dir = join(place.stateDir, 'l', id);
  const scan = new Scan(place, viewBelow(place, stack), xattrs, stack.partial === true);
  using upper = Beneath.open(join(dir, 'u'));
  scan.root(upper);
  const { entries, bytes, leftOut, leftOutCount, changes } = scan;
  const digest = layerDigest(entries);
  const manifest: LayerManifest = { digest, entries, bytes };
  failpoint('before-layer-manifest');
  fs.writeFileSync(join(dir, 'layer.json.tmp'), JSON.stringify(manifest));
  fs.renameSync(join(dir, 'layer.json.tmp'), join(dir, 'layer.json'));
  const sealed = { digest, entries: entries.length, bytes, changes, leftOut, leftOutCount };
  failpoint('before-layer-link');
  const kept = name(place, digest, id, xattrs);
  failpoint('after-layer-link');
  return { sealed, kept, stamp: scan.stamp.value() };
}

/**
 * False when the same changes are there already: one directory of them is enough. One that was
 * damaged or pruned since is not.
 */
function name(place: Place, layer: Digest, id: string, xattrs: Xattrs): boolean {
  const link = layerLink(place.stateDir, layer);
  try {
    fs.symlinkSync(`../l/${id}`, link);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  }
  const there = checkLayer({ place, layer, stamp: undefined }, xattrs);
  if (there.state === 'sound' && freshenSync(link)) {
    return readLayer(place.stateDir, layer).id === id;
  }
  putLayerAside(place, layer);
  return rename(link, id);
}

/** Puts the layer in the place of a name that leads nowhere any more. */
function rename(link: string, id: string): true {
  fs.symlinkSync(`../l/${id}`, `${link}.${id}`);
  fs.renameSync(`${link}.${id}`, link);
  return true;
}

function viewBelow({ stateDir }: Place, stack: Stack): Tree {
  const tree = Tree.of(readManifest(stateDir, stack.snapshot));
  for (const { layer } of stack.ancestors) tree.apply(readLayer(stateDir, layer).entries);
  return tree;
}

const blockBytes = 256 << 10;

class Scan {
  /** Parents before children. */
  readonly entries: LayerEntry[] = [];
  /** The first of them; `leftOutCount` says how many there are. */
  readonly leftOut: LeftOut[] = [];
  leftOutCount = 0;
  readonly changes = { added: 0, modified: 0, deleted: 0 };
  readonly stamp = new Stamp();
  bytes = 0;
  readonly #place: Place;
  readonly #below: Tree;
  readonly #xattrs: Xattrs;
  readonly #partial: boolean;
  readonly #block = Buffer.allocUnsafeSlow(blockBytes);
  #makeWhiteout: MakeWhiteout | undefined;
  #seen = 0;

  /** `partial`: below there may be more than the task saw, which it cannot have deleted. */
  constructor(place: Place, below: Tree, xattrs: Xattrs, partial: boolean) {
    this.#place = place;
    this.#below = below;
    this.#xattrs = xattrs;
    this.#partial = partial;
  }

  root(dir: Beneath): void {
    if (stripAttributes(this.#xattrs, dir.fd)) this.#leaveOut('.', 'attribute');
    const at = { path: '', depth: 0, hidden: false };
    this.directory(dir, at, this.#list(dir, at));
  }

  #list(dir: Beneath, { depth }: Where): Listed[] {
    const { limits } = this.#place;
    if (depth > limits.depthMax)
      throw tooLarge(`directories nested deeper than ${limits.depthMax}`);
    try {
      const listed = dir.entries(limits.entriesMax - this.#seen);
      this.#seen += listed.length;
      return listed;
    } catch (cause) {
      if (cause instanceof RangeError) throw tooLarge(`more than ${limits.entriesMax} entries`);
      throw cause;
    }
  }

  /** Answers how many names directly in it were deleted. */
  directory(dir: Beneath, at: Where, listed: readonly Listed[]): number {
    const { path: prefix } = at;
    const { limits } = this.#place;
    let deleted = 0;
    for (const each of listed) {
      const { name } = each;
      const path = prefix === '' ? name : `${prefix}/${name}`;
      if (path.length > limits.pathBytesMax) throw tooLarge('a path that is too long');
      this.#entry(dir, each, { ...at, path });
      const last = this.entries.at(-1);
      if (last?.type === 'whiteout' && last.path === textOfBytes(path)) deleted += 1;
    }
    return deleted;
  }

  #entry(dir: Beneath, { name, kind }: Listed, where: Where): void {
    const path = textOfBytes(where.path);
    const below = where.hidden ? undefined : this.#below.get(path);
    if (kind === 'file') {
      this.#file(dir, name, path, below);
      return;
    }
    const stat = dir.lstat(name);
    if (stat === undefined) return;
    if (isWhiteout(stat)) {
      if (below === undefined) fs.unlinkSync(dir.at(name));
      else if (this.#partial && below.type === 'dir') {
        fs.unlinkSync(dir.at(name));
        this.#delete(dir, name, where.path);
      } else this.#add({ type: 'whiteout', path }, below);
    } else if (stat.isDirectory()) {
      if (stripAttributes(this.#xattrs, dir.at(name))) this.#leaveOut(path, 'attribute');
      if ((stat.mode & 0o7777) !== 0o755) fs.chmodSync(dir.at(name), 0o755);
      this.#child(dir, name, where, below);
    } else if (stat.isSymbolicLink()) {
      if (stripAttributes(this.#xattrs, dir.at(name))) this.#leaveOut(path, 'attribute');
      const target = textOfBytes(dir.readlink(name));
      this.#keepOrPrune(dir, name, { type: 'symlink', path, target }, below);
    } else if (stat.isFile()) this.#file(dir, name, path, below);
    else {
      fs.unlinkSync(dir.at(name));
      const reason = stat.isSocket() ? 'socket' : stat.isFIFO() ? 'fifo' : 'device';
      this.#leaveOut(path, reason);
    }
  }

  /**
   * A directory over another one is told by what is in it, not by how it came to that: whether it was
   * removed and made anew, or emptied name by name, the same content is the same layer. Where no
   * name of below is left it counts as made anew (opaque), else each that is gone is marked.
   */
  #child(dir: Beneath, name: ByteString, where: Where, below: LayerEntry | undefined): void {
    const path = textOfBytes(where.path);
    const opaque = isOpaque(this.#xattrs, dir.at(name));
    using child = dir.dir(name);
    const inside = { path: where.path, depth: where.depth + 1, hidden: false };
    const listed = this.#list(child, inside);
    if (below?.type !== 'dir') {
      // The kernel marks every new directory; kept, the mark would hide a sibling task's files.
      if (opaque) this.#xattrs.remove(dir.at(name), opaqueName);
      this.#add({ type: 'dir', path }, below);
      this.directory(child, { ...inside, hidden: true }, listed);
      return;
    }
    if (opaque && !this.#partial && this.#hasNoneOf(child, listed, path)) {
      this.#add({ type: 'dir', path, opaque: true }, below);
      this.directory(child, { ...inside, hidden: true }, listed);
      return;
    }
    if (opaque) {
      this.#markMissing(child, listed, path);
      this.#xattrs.remove(dir.at(name), opaqueName);
      this.#seen -= listed.length;
    }
    const begin = this.entries.length;
    const deleted = this.directory(child, inside, opaque ? this.#list(child, inside) : listed);
    if (!this.#partial && deleted > 0 && deleted === count(this.#below.children(path))) {
      this.#xattrs.set(dir.at(name), opaqueName, 'y');
      this.#replaceMarks(child, { path, begin, below });
    }
    // The kernel copies a directory up when something in it is merely looked at for writing.
    else removeEmpty(dir, name);
  }

  /** Nothing of what was there before has its name in the directory, and there was something. */
  #hasNoneOf(child: Beneath, listed: readonly Listed[], path: string): boolean {
    const names = namesIn(child, listed);
    let before = 0;
    for (const { path: each } of this.#below.children(path)) {
      if (names.has(lastOf(bytesOfText(each)))) return false;
      before += 1;
    }
    return before > 0;
  }

  /**
   * Says of a directory that was made anew name by name what is gone of it, and of the directories
   * in it that they were made anew as well. Until then it keeps its own mark: a seal that is cut off
   * begins once more.
   */
  #markMissing(child: Beneath, listed: readonly Listed[], path: string): void {
    const names = new Map(listed.map((each) => [each.name, each.kind]));
    for (const before of this.#below.children(path)) {
      const name = lastOf(bytesOfText(before.path));
      const kind = names.get(name);
      if (kind === undefined) {
        this.#makeWhiteout ??= openWhiteouts();
        this.#makeWhiteout(child.at(name));
      } else if (before.type === 'dir' && child.lstat(name)?.isDirectory() === true) {
        this.#xattrs.set(child.at(name), opaqueName, 'y');
      }
    }
  }

  /** One mark for the whole directory, in place of one for each name. */
  #replaceMarks(
    child: Beneath,
    { path, begin, below }: { path: string; begin: number; below: LayerEntry },
  ): void {
    const inside = this.entries.splice(begin);
    this.#add({ type: 'dir', path, opaque: true }, below);
    for (const entry of inside) {
      if (entry.type === 'whiteout' && isDirectlyIn(entry.path, path)) {
        fs.unlinkSync(child.at(lastOf(bytesOfText(entry.path))));
        this.changes.deleted -= 1;
      } else this.entries.push(entry);
    }
  }

  #file(dir: Beneath, name: ByteString, path: string, below: LayerEntry | undefined): void {
    const file = dir.listedFile(name);
    if (file === undefined) throw new Error('a file changed its kind after its task was dead');
    try {
      const { fd, stat } = file;
      this.bytes += stat.size;
      if (this.bytes > this.#place.limits.bytesMax) {
        throw tooLarge(`more than ${this.#place.limits.bytesMax} bytes`);
      }
      if (stripAttributes(this.#xattrs, fd)) this.#leaveOut(path, 'attribute');
      if ((stat.mode & 0o6000) !== 0) this.#leaveOut(path, 'set-id');
      const executable = (stat.mode & 0o100) !== 0;
      const mode = executable ? 0o755 : 0o644;
      if ((stat.mode & 0o7777) !== mode) fs.fchmodSync(fd, mode);
      const block = this.#block.subarray(0, Math.min(blockBytes, stat.size + 1));
      const entry = {
        type: 'file' as const,
        path,
        executable,
        bytes: stat.size,
        digest: hashFile(fd, block),
      };
      if (this.#keepOrPrune(dir, name, entry, below)) this.stamp.add(bytesOfText(path), stat);
    } finally {
      fs.closeSync(file.fd);
    }
  }

  #keepOrPrune(
    dir: Beneath,
    name: ByteString,
    entry: LayerEntry,
    below: LayerEntry | undefined,
  ): boolean {
    const isKept = below === undefined || !sameEntry(entry, below);
    if (isKept) this.#add(entry, below);
    else {
      if (entry.type === 'file') this.bytes -= entry.bytes;
      fs.unlinkSync(dir.at(name));
    }
    return isKept;
  }

  /** Marks what the task saw there as deleted, name by name; directories stay, for what it did not see. */
  #delete(dir: Beneath, name: ByteString, path: ByteString): void {
    this.#seen += 1;
    const { entriesMax } = this.#place.limits;
    if (this.#seen > entriesMax) throw tooLarge(`more than ${entriesMax} entries`);
    const below = this.#below.get(textOfBytes(path));
    if (below === undefined) return;
    if (below.type !== 'dir') {
      this.#makeWhiteout ??= openWhiteouts();
      this.#makeWhiteout(dir.at(name));
      this.#add({ type: 'whiteout', path: below.path }, below);
      return;
    }
    fs.mkdirSync(dir.at(name), 0o755);
    fs.chmodSync(dir.at(name), 0o755);
    if (process.getuid?.() === 0) fs.lchownSync(dir.at(name), this.#place.uid, this.#place.gid);
    {
      using child = dir.dir(name);
      for (const each of this.#below.children(textOfBytes(path))) {
        const inside = bytesOfText(each.path);
        this.#delete(child, lastOf(inside), inside);
      }
    }
    removeEmpty(dir, name);
  }

  #leaveOut(path: string, reason: LeftOut['reason']): void {
    this.leftOutCount += 1;
    if (this.leftOut.length < 1000) this.leftOut.push({ path, reason });
  }

  #add(entry: LayerEntry, below: LayerEntry | undefined): void {
    this.entries.push(entry);
    if (entry.type === 'whiteout') this.changes.deleted += 1;
    else if (below === undefined) this.changes.added += 1;
    else this.changes.modified += 1;
  }
}

/** `hidden`: nothing of below shows through here. */
type Where = { path: ByteString; depth: number; hidden: boolean };

/** Without those that are marked as deleted. */
function namesIn(dir: Beneath, listed: readonly Listed[]): Set<ByteString> {
  const isThere = ({ name, kind }: Listed) => {
    const stat = kind === 'unsaid' ? dir.lstat(name) : undefined;
    return stat === undefined || !isWhiteout(stat);
  };
  return new Set(listed.filter(isThere).map(({ name }) => name));
}

function count(of: Iterable<unknown>): number {
  let all = 0;
  for (const _ of of) all += 1;
  return all;
}

const lastOf = (path: ByteString): ByteString => path.slice(path.lastIndexOf('/') + 1);

function isDirectlyIn(path: string, dir: string): boolean {
  const bytes = bytesOfText(path);
  return bytes.slice(0, Math.max(0, bytes.lastIndexOf('/'))) === bytesOfText(dir);
}

function removeEmpty(dir: Beneath, name: ByteString): void {
  try {
    fs.rmdirSync(dir.at(name));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw cause;
  }
}

function tooLarge(what: string): OrchestraError {
  return new OrchestraError('workspace.too_large', `The task left ${what}`);
}
