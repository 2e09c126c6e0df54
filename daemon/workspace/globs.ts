import { type ByteString, bytesOfText } from '#contract/path-bytes.ts';

type Pattern = {
  takesAway: boolean;
  onlyDirectories: boolean;
  /** One for each directory on the way; `**` stands for any number of them. */
  parts: readonly ByteString[];
};

/** How far each pattern has come on the way to a directory, and whether it took in all of it. */
type Reached = { places: readonly (readonly number[])[]; taken: readonly boolean[] };

/**
 * Which paths a list of globs takes in. Every glob begins at the top of the workspace: `*` and `?`
 * stay within a name, `**` goes through directories, a glob that ends in `/` means directories only,
 * all other characters are themselves. A directory that is taken in comes with everything in it.
 * Of several globs that speak of a path the last one counts, and `!` takes away.
 *
 * Work is counted, because globs may be hostile: see `isSpent`.
 */
export class Globs {
  readonly #patterns: readonly Pattern[];
  readonly #reached = new Map<ByteString, Reached>();
  #left: number;

  constructor(globs: readonly string[], steps: number) {
    this.#patterns = globs.map(patternOf);
    this.#left = steps;
    const start = this.#patterns.map(({ parts }) => closure(parts, [0]));
    this.#reached.set('', { places: start, taken: this.#patterns.map(() => false) });
  }

  /** True when the steps are used up; then no answer counts. */
  get isSpent(): boolean {
    return this.#left < 0;
  }

  takes(path: ByteString, isDirectory: boolean): boolean {
    const { taken } = this.#walk(path, isDirectory);
    const last = taken.lastIndexOf(true);
    return last >= 0 && this.#patterns[last]?.takesAway === false;
  }

  #walk(path: ByteString, isDirectory: boolean): Reached {
    const known = isDirectory ? this.#reached.get(path) : undefined;
    if (known !== undefined) return known;
    const slash = path.lastIndexOf('/');
    const above = this.#walk(slash < 0 ? '' : path.slice(0, slash), true);
    const name = path.slice(slash + 1);
    const places = this.#patterns.map(({ parts }, i) =>
      this.#step(parts, above.places[i] ?? [], name),
    );
    const taken = this.#patterns.map(
      ({ parts, onlyDirectories }, i) =>
        above.taken[i] === true ||
        ((isDirectory || !onlyDirectories) && places[i]?.includes(parts.length) === true),
    );
    const reached = { places, taken };
    if (isDirectory) this.#reached.set(path, reached);
    return reached;
  }

  #step(parts: readonly ByteString[], places: readonly number[], name: ByteString): number[] {
    const next = new Set<number>();
    for (const place of places) {
      const part = parts[place];
      if (part === '**') next.add(place);
      else if (part !== undefined && this.#fits(part, name)) next.add(place + 1);
    }
    return closure(parts, next);
  }

  /** Goes back to the last star only, so it takes at most length times length steps. */
  #fits(part: ByteString, name: ByteString): boolean {
    let at = 0;
    let in_ = 0;
    let star = -1;
    let resume = 0;
    while (at < name.length) {
      this.#left -= 1;
      if (this.#left < 0) return false;
      const wanted = part[in_];
      if (wanted === '*') {
        star = in_;
        resume = at;
        in_ += 1;
      } else if (wanted === '?') {
        at = afterCharacter(name, at);
        in_ += 1;
      } else if (wanted === name[at]) {
        at += 1;
        in_ += 1;
      } else if (star >= 0) {
        resume += 1;
        at = resume;
        in_ = star + 1;
      } else return false;
    }
    while (part[in_] === '*') in_ += 1;
    return in_ === part.length;
  }
}

/** Where `**` stands it may also stand for nothing. */
function closure(parts: readonly ByteString[], places: Iterable<number>): number[] {
  const all = new Set<number>();
  for (let place of places) {
    all.add(place);
    while (parts[place] === '**') all.add((place += 1));
  }
  return [...all];
}

function patternOf(glob: string): Pattern {
  const takesAway = glob.startsWith('!');
  const bytes = bytesOfText(takesAway ? glob.slice(1) : glob);
  const onlyDirectories = bytes.endsWith('/');
  const parts = (onlyDirectories ? bytes.slice(0, -1) : bytes)
    .split('/')
    // Two in a row say no more than one, and would only cost steps.
    .filter((part, i, all) => part !== '**' || all[i - 1] !== '**');
  // What is in a directory, not the directory itself.
  if (parts.at(-1) === '**') parts.push('*');
  return { takesAway, onlyDirectories, parts };
}

/** A character of UTF-8 is a byte and those that continue it. */
function afterCharacter(name: ByteString, at: number): number {
  let next = at + 1;
  while ((name.charCodeAt(next) & 0xc0) === 0x80) next += 1;
  return next;
}
