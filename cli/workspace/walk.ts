import * as fs from 'node:fs';
import { OrchestraError } from '#contract/errors.ts';
import { type ByteString, staysInside, textOfBytes } from '#contract/path-bytes.ts';
import type { LeftOut, TreeLimits } from '#contract/snapshot.ts';
import { holdsReports, IgnoreRules } from './ignore-rules.ts';

export type WalkedFile = {
  type: 'file';
  path: string;
  bytes: ByteString;
  executable: boolean;
  stamp: Stamp;
};
export type Walked =
  { type: 'dir'; path: string } | { type: 'symlink'; path: string; target: string } | WalkedFile;

/** What a file looked like: when none of these moved, neither did the content. */
export type Stamp = { size: number; mtimeNs: bigint; ctimeNs: bigint; ino: bigint };

export type Walk = { entries: Walked[]; leftOut: LeftOut[] };

/**
 * Everything in a workspace that is to be built, a directory before what is in it. Sockets, pipes,
 * devices and links that lead out are left out and listed. Nothing is opened but ignore files.
 */
export function walk(workspace: string, limits: TreeLimits): Walk {
  const root = Buffer.from(workspace).toString('latin1');
  const found: Walk = { entries: [], leftOut: [] };
  let bytes = 0;
  const ahead: { dir: ByteString; rules: IgnoreRules | undefined }[] = [
    { dir: '', rules: undefined },
  ];
  for (let next = ahead.pop(); next !== undefined; next = ahead.pop()) {
    const { dir } = next;
    const names = list(dir === '' ? root : `${root}/${dir}`);
    const before = found.entries.length + found.leftOut.length;
    const rules =
      next.rules === undefined
        ? IgnoreRules.atRoot(workspace, names)
        : next.rules.inside(workspace, lossy(dir), names);
    for (const name of names) {
      const at = dir === '' ? name : `${dir}/${name}`;
      const stat = fs.lstatSync(hostPath(`${root}/${at}`), { bigint: true, throwIfNoEntry: false });
      if (stat === undefined || rules.ignores(lossy(at), stat.isDirectory())) continue;
      const path = textOfBytes(at);
      if (stat.isDirectory()) {
        found.entries.push({ type: 'dir', path });
        ahead.push({ dir: at, rules });
      } else if (stat.isFile()) {
        bytes += Number(stat.size);
        const executable = (stat.mode & 0o100n) !== 0n;
        found.entries.push({ type: 'file', path, bytes: at, executable, stamp: stampOf(stat) });
      } else if (stat.isSymbolicLink()) {
        const target = fs.readlinkSync(hostPath(`${root}/${at}`), latin1);
        if (staysInside(at, target)) {
          found.entries.push({ type: 'symlink', path, target: textOfBytes(target) });
        } else found.leftOut.push({ path, reason: 'link leads out' });
      } else {
        const reason = stat.isSocket() ? 'socket' : stat.isFIFO() ? 'fifo' : 'device';
        found.leftOut.push({ path, reason });
      }
      refuseTooLarge(at, { entries: found.entries.length, bytes }, limits);
    }
    // A folder of reports and nothing else came with the first run: to the second it would be news.
    const isEmpty = found.entries.length + found.leftOut.length === before;
    if (isEmpty && holdsReports(dir, names)) {
      found.entries = found.entries.filter(({ path }) => path !== dir);
    }
  }
  return found;
}

const latin1 = { encoding: 'latin1' as BufferEncoding };

export function stampOf(stat: fs.BigIntStats): Stamp {
  return { size: Number(stat.size), mtimeNs: stat.mtimeNs, ctimeNs: stat.ctimeNs, ino: stat.ino };
}

export function sameStamp(a: Stamp, b: Stamp): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs && a.ino === b.ino;
}

/** A path of bytes in the form that Node hands to the kernel unchanged. */
export function hostPath(bytes: ByteString): string | Buffer {
  // oxlint-disable-next-line no-control-regex -- the whole of ASCII is what is meant
  return /^[\0-\x7f]*$/.test(bytes) ? bytes : Buffer.from(bytes, 'latin1');
}

function list(directory: ByteString): ByteString[] {
  try {
    return fs.readdirSync(hostPath(directory), latin1);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new OrchestraError(
      'workspace.invalid',
      `${lossy(directory)} cannot be read${code === undefined ? '' : ` (${code})`}`,
      { cause, hint: 'make it readable or name it in .orchestraignore' },
    );
  }
}

/** For rules and messages only: bytes that are not UTF-8 become replacement characters. */
function lossy(bytes: ByteString): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function refuseTooLarge(
  path: ByteString,
  seen: { entries: number; bytes: number },
  limits: TreeLimits,
): void {
  const what =
    seen.entries > limits.entriesMax
      ? `more than ${limits.entriesMax} entries`
      : seen.bytes > limits.bytesMax
        ? `more than ${limits.bytesMax} bytes`
        : path.length > limits.pathBytesMax
          ? `a path longer than ${limits.pathBytesMax} bytes`
          : path.split('/').length > limits.depthMax
            ? `directories nested deeper than ${limits.depthMax}`
            : undefined;
  if (what === undefined) return;
  throw new OrchestraError('workspace.too_large', `The workspace has ${what}`, {
    hint: 'leave out what the build does not need in .orchestraignore',
    places: [{ file: lossy(path), message: what }],
  });
}
