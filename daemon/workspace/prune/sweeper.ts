import * as fs from 'node:fs';
import { join } from 'node:path';
import type { PrunedKind } from '#contract/prune.ts';
import { Accounts } from './accounts.ts';
import type { PrunedPart } from './request.ts';

/**
 * Takes things out of the store, by a rename into a directory beside it: whole or not at all, and
 * what is left of it after a crash is in `tmp/`, where every start throws away what it finds.
 *
 * Somebody may come to rely on a thing while it is taken. Whoever does touches it (`freshen`) or
 * gives its file another name, so it is looked at once more when nobody can find it any longer, and
 * goes back where that happened.
 */
export class Sweeper {
  readonly accounts = new Accounts();
  readonly #aside: string | undefined;
  readonly #entries = new Map<PrunedKind, number>();
  #taken = 0;

  constructor(aside: string | undefined) {
    this.#aside = aside;
    if (aside !== undefined) fs.mkdirSync(aside, { recursive: true, mode: 0o700 });
  }

  /** True while nothing is removed, only counted. */
  get isDry(): boolean {
    return this.#aside === undefined;
  }

  /** `stat` is what it was judged by. False where it went back or was not there any more. */
  take(path: string, stat: fs.Stats, what: PrunedKind): boolean {
    if (stat.isDirectory()) this.accounts.seeTree(path, what);
    else this.accounts.see(stat, what);
    if (this.#aside !== undefined && !this.#remove(path, stat, this.#aside)) return false;
    this.count(what);
    return true;
  }

  count(what: PrunedKind): void {
    this.#entries.set(what, (this.#entries.get(what) ?? 0) + 1);
  }

  parts(): PrunedPart[] {
    return [...this.#entries].map(([what, entries]) => ({
      what,
      entries,
      bytes: this.accounts.bytesOf(what),
    }));
  }

  #remove(path: string, stat: fs.Stats, aside: string): boolean {
    // To look into a directory, as the count did, changes when it was read last, and not this.
    const before = fs.lstatSync(path, { throwIfNoEntry: false });
    if (before?.ctimeMs !== stat.ctimeMs) return false;
    this.#taken += 1;
    const to = join(aside, String(this.#taken));
    fs.renameSync(path, to);
    const after = fs.lstatSync(to);
    const isUsed =
      after.atimeMs !== before.atimeMs || (!stat.isDirectory() && after.nlink > before.nlink);
    if (!isUsed) return true;
    try {
      fs.renameSync(to, path);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      // Whoever found nothing there has made it anew.
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw cause;
    }
    return false;
  }
}
