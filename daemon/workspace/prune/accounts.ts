import type { Stats } from 'node:fs';
import * as fs from 'node:fs';
import { prunedKinds, type PrunedKind } from '#contract/prune.ts';
import { Beneath } from '../../artifacts/beneath.ts';

type Shared = { seen: number; links: number; bytes: number; what: PrunedKind };

/**
 * What the disk gets back: a file is gone with the last of its names, so its bytes count once, for
 * the kind that its last name belonged to, and not at all while something that is kept has a name
 * for it.
 */
export class Accounts {
  readonly #own = new Map<PrunedKind, number>(prunedKinds.map((what) => [what, 0]));
  readonly #shared = new Map<string, Shared>();

  see(stat: Stats, what: PrunedKind): void {
    const bytes = stat.blocks * 512;
    if (stat.isDirectory() || stat.nlink <= 1) {
      this.#own.set(what, (this.#own.get(what) ?? 0) + bytes);
      return;
    }
    const key = keyOf(stat);
    const known = this.#shared.get(key);
    if (known === undefined) {
      this.#shared.set(key, { seen: 1, links: stat.nlink, bytes, what });
    } else {
      known.seen += 1;
      known.what = what;
    }
  }

  seeTree(path: string, what: PrunedKind): void {
    eachEntry(path, (stat) => this.see(stat, what));
  }

  /** How many names of a file nobody has shown here. */
  namesLeft(stat: Stats): number {
    return stat.nlink - (this.#shared.get(keyOf(stat))?.seen ?? 0);
  }

  bytesOf(what: PrunedKind): number {
    let bytes = this.#own.get(what) ?? 0;
    for (const each of this.#shared.values()) {
      if (each.what === what && each.seen >= each.links) bytes += each.bytes;
    }
    return bytes;
  }
}

/** What a directory takes on the disk, each of its files once. */
export function bytesOfTree(path: string): number {
  let bytes = 0;
  const seen = new Set<string>();
  eachEntry(path, (stat) => {
    if (!stat.isDirectory() && stat.nlink > 1) {
      const key = keyOf(stat);
      if (seen.has(key)) return;
      seen.add(key);
    }
    bytes += stat.blocks * 512;
  });
  return bytes;
}

function keyOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

/** The directory itself and everything in it, through no link; nothing where there is none. */
function eachEntry(path: string, visit: (stat: Stats) => void): void {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  visit(stat);
  if (!stat.isDirectory()) return;
  using root = Beneath.open(path);
  descend(root, visit);
}

function descend(dir: Beneath, visit: (stat: Stats) => void): void {
  for (const name of dir.list(Number.MAX_SAFE_INTEGER)) {
    const stat = dir.lstat(name);
    if (stat === undefined) continue;
    visit(stat);
    if (!stat.isDirectory()) continue;
    using child = dir.dir(name);
    descend(child, visit);
  }
}
