import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import type { Stamp } from './walk.ts';

const header = 'orchestra-memo 1';
const bytesMax = 256 << 20;
/** Two writes within one tick of the file system's clock leave the same stamp. */
const settledNs = 2_000_000_000n;

/**
 * The digests of files whose stamp has not moved, kept in the user's cache. A lost or damaged memo
 * costs time, nothing else. A file that was younger than two seconds when it was hashed is not
 * remembered: it may have been written again without its stamp showing it.
 */
export class Memo {
  readonly #path: string;
  readonly #known: Map<string, string>;
  readonly #next = new Map<string, string>();
  readonly #quoted = new Map<string, string>();

  private constructor(path: string, known: Map<string, string>) {
    this.#path = path;
    this.#known = known;
  }

  static open(path: string): Memo {
    return new Memo(path, read(path));
  }

  get isEmpty(): boolean {
    return this.#known.size === 0;
  }

  /** The digest of the file at `path` if it still looks as it did. */
  recall(path: string, stamp: Stamp): string | undefined {
    const line = this.#known.get(path);
    const space = line?.lastIndexOf(' ') ?? -1;
    if (line === undefined || line.slice(0, space) !== stampText(stamp)) return undefined;
    this.#next.set(path, line);
    return `sha256:${line.slice(space + 1)}`;
  }

  remember({ path, quoted, stamp }: Draft, digest: string): void {
    this.#quoted.set(path, quoted);
    this.#next.set(path, `${stamp} ${digest.slice('sha256:'.length)}`);
  }

  /** Keeps what was recalled or remembered since the memo was opened; a failure is of no concern. */
  save(): void {
    if (same(this.#known, this.#next)) return;
    const lines = [header];
    for (const [path, line] of this.#next) {
      lines.push(this.#quoted.get(path) ?? JSON.stringify(path), line);
    }
    try {
      fs.mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
      const temp = `${this.#path}.${randomBytes(4).toString('hex')}`;
      fs.writeFileSync(temp, `${lines.join('\n')}\n`, { flag: 'wx', mode: 0o600 });
      fs.renameSync(temp, this.#path);
    } catch {
      // The next snapshot hashes again.
    }
  }
}

/** What can be said of a file before its digest is known. */
export type Draft = { path: string; quoted: string; stamp: string };

/** `undefined` for a file too young to be remembered. `hashedAtNs` is a time before it was read. */
export function draftOf(path: string, stamp: Stamp, hashedAtNs: bigint): Draft | undefined {
  const young = hashedAtNs - settledNs;
  if (stamp.mtimeNs > young || stamp.ctimeNs > young) return undefined;
  return { path, quoted: JSON.stringify(path), stamp: stampText(stamp) };
}

function stampText({ size, mtimeNs, ctimeNs, ino }: Stamp): string {
  return `${size} ${mtimeNs} ${ctimeNs} ${ino}`;
}

function same(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  if (a.size !== b.size) return false;
  for (const [path, line] of a) if (b.get(path) !== line) return false;
  return true;
}

function read(path: string): Map<string, string> {
  const known = new Map<string, string>();
  try {
    if (fs.lstatSync(path).size > bytesMax) return known;
    const lines = fs.readFileSync(path, 'utf8').split('\n');
    if (lines[0] !== header) return known;
    for (let i = 1; i + 1 < lines.length; i += 2) {
      const line = lines[i + 1] ?? '';
      if (!/^\d+ -?\d+ -?\d+ \d+ [0-9a-f]{64}$/.test(line)) return new Map();
      known.set(JSON.parse(lines[i] ?? '') as string, line);
    }
    return known;
  } catch {
    return new Map();
  }
}
