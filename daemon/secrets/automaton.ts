import { OrchestraError } from '#contract/errors.ts';

/**
 * All patterns as one table (Aho and Corasick, 1975): one look-up for each byte, however many
 * patterns there are. Plain data, so that it can be handed to a worker.
 *
 * States are multiplied by the number of classes already, so that `next[state + classOf[byte]]` is
 * the next one; its complement where a pattern ends there. A line break leaves every state as it is.
 */
export type Automaton = {
  classes: number;
  classOf: Uint8Array;
  next: Int32Array;
  /** By state: how many of the last symbols may still become a pattern. */
  depth: Uint16Array;
  /** By state: how long the longest pattern is that ends here, 0 for none. */
  found: Uint16Array;
  /** By state: how patterns go on of which the table holds the beginning only. */
  tails: ReadonlyMap<number, readonly Uint8Array[]>;
  shortest: number;
};

export const breakClass = 1;

const beginningMax = 256;
const beginningMin = 16;
const cellsMax = 2 ** 24;

/** Patterns hold no line breaks and are not empty. Throws where they need too much memory. */
export function buildAutomaton(patterns: readonly Uint8Array[]): Automaton {
  const { classOf, classes } = classesOf(patterns);
  const kept = beginningFor(patterns, classes);
  const size = patterns.reduce((sum, { length }) => sum + Math.min(length, kept), 1);
  const next = new Int32Array(size * classes).fill(-1);
  const depth = new Uint16Array(size);
  const found = new Uint16Array(size);
  const tails = new Map<number, Uint8Array[]>();
  let states = 1;
  for (const pattern of patterns) {
    let state = 0;
    const beginning = pattern.subarray(0, kept);
    for (const [i, byte] of beginning.entries()) {
      const cell = state * classes + (classOf[byte] ?? 0);
      if (next[cell] === -1) {
        next[cell] = states;
        depth[states] = i + 1;
        states += 1;
      }
      state = next[cell] ?? 0;
    }
    found[state] = beginning.length;
    if (pattern.length > kept) append(tails, state, pattern.subarray(kept));
  }
  link({ next, classes, depth, found, tails });
  for (let i = 0; i < states * classes; i += 1) {
    const state = next[i] ?? 0;
    // A line break after a pattern does not find it once more.
    const isFound = found[state] !== 0 && i % classes !== breakClass;
    next[i] = isFound ? ~(state * classes) : state * classes;
  }
  return {
    classes,
    classOf,
    next: next.slice(0, states * classes),
    depth: depth.slice(0, states),
    found: found.slice(0, states),
    tails,
    shortest: Math.min(...patterns.map(({ length }) => length)),
  };
}

/** Whether a pattern is in what the chunks hold together. One reader for one text. */
export function finder(automaton: Automaton): (chunk: Uint8Array) => boolean {
  const { next, classOf } = automaton;
  let state = 0;
  return (chunk) => {
    let at = state;
    for (let i = 0; i < chunk.length; i += 1) {
      at = next[at + (classOf[chunk[i] as number] as number)] as number;
      if (at < 0) return true;
    }
    state = at;
    return false;
  };
}

/** In order of depth: what a state cannot go on with, its longest proper suffix can. */
function link(parts: {
  next: Int32Array;
  classes: number;
  depth: Uint16Array;
  found: Uint16Array;
  tails: Map<number, Uint8Array[]>;
}): void {
  const { next, classes, depth, found, tails } = parts;
  const fallback = new Int32Array(found.length);
  const queue: number[] = [0];
  for (let head = 0; head < queue.length; head += 1) {
    const state = queue[head] ?? 0;
    const shorter = fallback[state] ?? 0;
    found[state] ||= found[shorter] ?? 0;
    for (const tail of state === shorter ? [] : (tails.get(shorter) ?? [])) {
      append(tails, state, tail);
    }
    let goesOn = state === 0;
    for (let c = 0; c < classes; c += 1) {
      const cell = state * classes + c;
      const child = next[cell] ?? 0;
      const other = state === 0 ? 0 : (next[shorter * classes + c] ?? 0);
      if (c === breakClass) next[cell] = state;
      else if (child === -1) next[cell] = other;
      else {
        goesOn = true;
        fallback[child] = other;
        queue.push(child);
      }
    }
    if (!goesOn) depth[state] = depth[shorter] ?? 0;
  }
}

/** Class 0 is every byte that no pattern holds. */
function classesOf(patterns: readonly Uint8Array[]): { classOf: Uint8Array; classes: number } {
  const classOf = new Uint8Array(256);
  classOf[0x0a] = breakClass;
  classOf[0x0d] = breakClass;
  let classes = breakClass + 1;
  for (const pattern of patterns) {
    for (const byte of pattern) {
      if (classOf[byte] !== 0) continue;
      classOf[byte] = classes;
      classes += 1;
    }
  }
  return { classOf, classes };
}

/** How many symbols of a pattern the table holds; the rest is compared byte by byte. */
function beginningFor(patterns: readonly Uint8Array[], classes: number): number {
  for (let kept = beginningMax; kept >= beginningMin; kept /= 2) {
    const states = patterns.reduce((sum, { length }) => sum + Math.min(length, kept), 1);
    if (states * classes <= cellsMax) return kept;
  }
  throw new OrchestraError('secret.invalid', 'The secrets of this run are too many to be masked', {
    hint: 'grant fewer of them to one run',
  });
}

function append(tails: Map<number, Uint8Array[]>, state: number, tail: Uint8Array): void {
  const known = tails.get(state);
  if (known === undefined) tails.set(state, [tail]);
  else if (!known.includes(tail)) known.push(tail);
}
