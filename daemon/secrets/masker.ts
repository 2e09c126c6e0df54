import { breakClass, type Automaton } from './automaton.ts';

const mark = Buffer.from('***');
/** A beginning so short may be shown before a line break, so that lines are not held up. */
const shownMax = 3;
const heldMax = 8192;

type Stretch = { start: number; end: number; isMarked: boolean };

/**
 * Masks one stream as it flows: every stretch of bytes that spells a secret becomes `***`, stretches
 * that overlap become one. Everything else passes unchanged and in order.
 *
 * Held back is only what could still become a secret: a beginning of one, at most as long as the
 * table knows it (`automaton.ts`). It passes, or is masked, once the next bytes or the end of the
 * stream decide it; time decides nothing. Nor do line breaks, save that one to three characters
 * before one are shown at once. At the end a beginning of eight characters (or half of a short
 * secret) counts as the secret: the task may have been killed while it wrote it.
 */
export class Masker {
  /** How many stretches were masked so far. */
  count = 0;
  readonly #automaton: Automaton;
  #state = 0;
  #held: Buffer = Buffer.alloc(0);
  /** In order and apart from each other; the first may have begun before what is held. */
  #stretches: Stretch[] = [];
  #tails: { bytes: Uint8Array; at: number }[] = [];

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
  }

  /** What may pass now; often all of it, sometimes nothing. */
  write(chunk: Uint8Array): Uint8Array {
    const from = this.#held.length;
    const bytes = from === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    this.#scan(bytes, from);
    return this.#pass(bytes, this.#decidedUntil(bytes));
  }

  end(): Uint8Array {
    const bytes = this.#held;
    const { shortest } = this.#automaton;
    const begun = this.#depth;
    this.#tails = [];
    if (begun >= Math.min(8, Math.ceil(shortest / 2))) {
      const last = startOf(bytes, bytes.length - 1, 1);
      this.#add(startOf(bytes, last, begun), last + 1);
    }
    this.#state = 0;
    return this.#pass(bytes, bytes.length);
  }

  get #depth(): number {
    const { depth, classes } = this.#automaton;
    return depth[this.#state / classes] ?? 0;
  }

  #scan(bytes: Uint8Array, from: number): void {
    const { next, classOf } = this.#automaton;
    let state = this.#state;
    let i = from;
    while (i < bytes.length) {
      // The way of nearly every byte: nothing is begun or found, and nothing is called.
      if (this.#tails.length === 0) {
        while (i < bytes.length) {
          state = next[state + (classOf[bytes[i] as number] as number)] as number;
          i += 1;
          if (state < 0) break;
        }
      } else {
        this.#followTails(bytes, i);
        state = next[state + (classOf[bytes[i] as number] as number)] as number;
        i += 1;
      }
      if (state < 0) {
        state = ~state;
        this.#find(bytes, i, state);
      }
    }
    this.#state = state;
  }

  #find(bytes: Uint8Array, end: number, state: number): void {
    const { found, tails, classes } = this.#automaton;
    const index = state / classes;
    this.#add(startOf(bytes, end - 1, found[index] ?? 0), end);
    for (const tail of tails.get(index) ?? []) this.#tails.push({ bytes: tail, at: 0 });
  }

  /** Beyond the beginning that the table knows: whatever still is the secret is masked with it. */
  #followTails(bytes: Uint8Array, i: number): void {
    const byte = bytes[i] ?? 0;
    if (this.#automaton.classOf[byte] === breakClass) return;
    const going = this.#tails.filter(({ bytes: tail, at }) => tail[at] === byte);
    for (const tail of going) tail.at += 1;
    this.#tails = going.filter(({ bytes: tail, at }) => at < tail.length);
    const last = this.#stretches.at(-1);
    if (going.length > 0 && last !== undefined) last.end = i + 1;
  }

  #add(start: number, end: number): void {
    const stretches = this.#stretches;
    while ((stretches.at(-1)?.start ?? -1) >= start) stretches.pop();
    const last = stretches.at(-1);
    if (last !== undefined && start < last.end) last.end = Math.max(last.end, end);
    else stretches.push({ start, end, isMarked: false });
  }

  /** Where what is not decided yet begins. */
  #decidedUntil(bytes: Uint8Array): number {
    const begun = this.#depth;
    const isBreak = this.#automaton.classOf[bytes.at(-1) ?? 0] === breakClass;
    const isShown = begun === 0 || (begun <= shownMax && isBreak);
    const start = isShown ? bytes.length : startOf(bytes, bytes.length - 1, begun);
    const last = this.#tails.length > 0 ? this.#stretches.at(-1) : undefined;
    const until = Math.min(start, last?.end ?? start);
    if (bytes.length - until <= heldMax) return until;
    // Nothing but line breaks makes it so long. Nobody wraps what he encodes like that.
    this.#state = 0;
    this.#tails = [];
    return bytes.length;
  }

  #pass(bytes: Uint8Array, until: number): Uint8Array {
    const parts: Uint8Array[] = [];
    let at = 0;
    for (const stretch of this.#stretches) {
      if (stretch.start >= until) break;
      if (stretch.start > at) parts.push(bytes.subarray(at, stretch.start));
      if (!stretch.isMarked) {
        parts.push(mark);
        stretch.isMarked = true;
        this.count += 1;
      }
      at = Math.min(stretch.end, until);
    }
    if (at < until) parts.push(bytes.subarray(at, until));
    const last = this.#tails.length > 0 ? this.#stretches.at(-1) : undefined;
    this.#stretches = this.#stretches
      .filter((stretch) => stretch.end > until || stretch === last)
      .map((stretch) => ({
        ...stretch,
        start: stretch.start - until,
        end: stretch.end - until,
      }));
    this.#held = Buffer.from(bytes.subarray(until));
    return parts.length === 1 ? (parts[0] ?? mark) : Buffer.concat(parts);
  }
}

/** Where the last `symbols` bytes begin that are no line breaks; at least 0. */
function startOf(bytes: Uint8Array, last: number, symbols: number): number {
  let left = symbols;
  let start = last + 1;
  for (let i = last; i >= 0 && left > 0; i -= 1) {
    if (bytes[i] === 0x0a || bytes[i] === 0x0d) continue;
    left -= 1;
    start = i;
  }
  return start;
}
