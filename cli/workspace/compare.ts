import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { type ByteString, bytesOfText, textOfBytes } from '#contract/path-bytes.ts';
import type { Change, TreeEntry } from '#contract/snapshot.ts';
import type { Folder } from './folder.ts';

/** Where one change stands in the user's directory. */
export type Standing = 'to do' | 'done already' | { conflict: string };

/** Byte paths of what the change set deletes, and of what becomes a directory. */
export type Plan = { deleted: ReadonlySet<ByteString>; remade: ReadonlySet<ByteString> };

export function planOf(changes: readonly Change[]): Plan {
  const paths = (list: readonly Change[]): Set<ByteString> =>
    new Set(list.map((change) => bytesOfText(change.path)));
  return {
    deleted: paths(changes.filter(({ after }) => after === undefined)),
    remade: paths(changes.filter(({ before, after }) => before && after?.type === 'dir')),
  };
}

/**
 * Compares what is in the workspace now with what was there when the snapshot was made.
 */
export function standing(root: Folder, change: Change, plan: Plan): Standing {
  const parts = bytesOfText(change.path).split('/');
  const name = parts.pop() ?? '';
  let folder: Folder | undefined;
  try {
    folder = root.down(parts);
  } catch {
    // No directory, so what was deleted is gone, and what is new waits for its directory, whose
    // own change says whether that may be made.
    if (change.after === undefined) return 'done already';
    if (change.before === undefined && isWithin(parts, plan.remade)) return 'to do';
    return { conflict: 'its directory is a link or a file here' };
  }
  const found = folder === undefined ? undefined : entryAt(folder, name, change.path);
  folder?.[Symbol.dispose]();
  if (same(found, change.after)) return 'done already';
  if (!same(found, change.before)) {
    return {
      conflict:
        found === undefined ? 'was deleted here' : change.before ? 'changed here' : 'exists here',
    };
  }
  if (found?.type !== 'dir' || change.after === undefined) return 'to do';
  const more = strangers(root, bytesOfText(change.path), plan.deleted);
  return more === undefined ? 'to do' : { conflict: `has ${more} in it here` };
}

function isWithin(parts: readonly ByteString[], paths: ReadonlySet<ByteString>): boolean {
  return parts.some((_part, i) => paths.has(parts.slice(0, i + 1).join('/')));
}

function entryAt(
  folder: Folder,
  name: ByteString,
  path: string,
): TreeEntry | { type: 'other' } | undefined {
  const stat = folder.lstat(name);
  if (stat === undefined) return undefined;
  if (stat.isDirectory()) return { type: 'dir', path };
  if (stat.isSymbolicLink()) {
    const target = fs.readlinkSync(folder.at(name), { encoding: 'latin1' as BufferEncoding });
    return { type: 'symlink', path, target: textOfBytes(target) };
  }
  if (!stat.isFile()) return { type: 'other' };
  const executable = (stat.mode & 0o100n) !== 0n;
  return {
    type: 'file',
    path,
    executable,
    bytes: Number(stat.size),
    digest: digestAt(folder, name),
  };
}

function digestAt(folder: Folder, name: ByteString): string {
  const fd = fs.openSync(folder.at(name), fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  try {
    const hasher = createHash('sha256');
    const block = Buffer.allocUnsafe(1 << 18);
    for (let got = fs.readSync(fd, block); got > 0; got = fs.readSync(fd, block)) {
      hasher.update(block.subarray(0, got));
    }
    return `sha256:${hasher.digest('hex')}`;
  } finally {
    fs.closeSync(fd);
  }
}

function same(
  found: TreeEntry | { type: 'other' } | undefined,
  wanted: TreeEntry | undefined,
): boolean {
  if (found === undefined || wanted === undefined) return found === wanted;
  if (found.type === 'file' && wanted.type === 'file') {
    return found.digest === wanted.digest && found.executable === wanted.executable;
  }
  if (found.type === 'symlink' && wanted.type === 'symlink') return found.target === wanted.target;
  return found.type === 'dir' && wanted.type === 'dir';
}

/** The first thing in a directory that the change set does not delete: it would be lost. */
function strangers(
  root: Folder,
  path: ByteString,
  deleted: ReadonlySet<ByteString>,
): string | undefined {
  using folder = root.down(path.split('/'));
  for (const name of folder?.list() ?? []) {
    const at = `${path}/${name}`;
    if (!deleted.has(at)) return textOfBytes(at);
    if (folder?.lstat(name)?.isDirectory() === true) {
      const more = strangers(root, at, deleted);
      if (more !== undefined) return more;
    }
  }
  return undefined;
}
