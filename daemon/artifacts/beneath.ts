import * as fs from 'node:fs';
import type { ByteString } from '#contract/path-bytes.ts';

/** `unsaid` is everything that only `lstat` can tell. */
export type Listed = { name: ByteString; kind: 'file' | 'directory' | 'symlink' | 'unsaid' };

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;

/**
 * An open directory. What is in it is reached through its descriptor (`/proc/self/fd/N/name`, the
 * `openat` that Node does not have), one name at a time and never through a link. So whatever a
 * task planted or swaps meanwhile, nothing outside is ever opened, and no path gets too long.
 */
export class Beneath implements Disposable {
  readonly fd: number;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** The root may be named by any path of the daemon's own; it must not itself be a link. */
  static open(path: string): Beneath {
    return new Beneath(fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  }

  /** Throws ENOTDIR or ELOOP for anything that is not a directory. */
  dir(name: ByteString): Beneath {
    return new Beneath(fs.openSync(this.at(name), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  }

  /** A descriptor of a regular file and its facts, `undefined` for anything else. Never blocks. */
  file(name: ByteString): { fd: number; stat: fs.Stats } | undefined {
    // Opening a device can have effects of its own, so the kind is asked before and after.
    if (!this.lstat(name)?.isFile()) return undefined;
    return this.listedFile(name);
  }

  /**
   * The same for a name that `entries` called a file, where nobody else writes any more: half the
   * calls. What is behind the descriptor is still asked.
   */
  listedFile(name: ByteString): { fd: number; stat: fs.Stats } | undefined {
    const fd = fs.openSync(this.at(name), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    const stat = fs.fstatSync(fd);
    if (stat.isFile()) return { fd, stat };
    fs.closeSync(fd);
    return undefined;
  }

  lstat(name: ByteString): fs.Stats | undefined {
    return fs.lstatSync(this.at(name), { throwIfNoEntry: false });
  }

  /** Names in byte order; throws RangeError when there are more than `max`. */
  list(max: number): ByteString[] {
    return this.entries(max).map(({ name }) => name);
  }

  /** The same with what the directory itself says of each, where its file system does say it. */
  entries(max: number): Listed[] {
    const listed: Listed[] = [];
    const dir = fs.opendirSync(this.at('.'), {
      encoding: 'latin1' as BufferEncoding,
      bufferSize: 512,
    });
    try {
      for (let entry = dir.readSync(); entry !== null; entry = dir.readSync()) {
        if (listed.length >= max) throw new RangeError(`more than ${max} entries`);
        listed.push({ name: entry.name, kind: kindOf(entry) });
      }
    } finally {
      dir.closeSync();
    }
    return listed.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  readlink(name: ByteString): ByteString {
    return fs.readlinkSync(this.at(name), { encoding: 'latin1' as BufferEncoding });
  }

  /** The way to a name in this directory, for calls that do not follow a link in the last place. */
  at(name: ByteString): string | Buffer {
    if (name === '' || name === '..' || name.includes('/') || name.includes('\0')) {
      throw new TypeError('not a single name');
    }
    return hostPath(`/proc/self/fd/${this.fd}/${name}`);
  }

  [Symbol.dispose](): void {
    fs.closeSync(this.fd);
  }
}

function kindOf(entry: fs.Dirent): Listed['kind'] {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'directory';
  return entry.isSymbolicLink() ? 'symlink' : 'unsaid';
}

/** A path of bytes in the form that Node hands to the kernel unchanged. */
export function hostPath(bytes: ByteString): string | Buffer {
  // oxlint-disable-next-line no-control-regex -- the whole of ASCII is what is meant
  return /^[\0-\x7f]*$/.test(bytes) ? bytes : Buffer.from(bytes, 'latin1');
}
