import type { Automaton } from './automaton.ts';
import { Masker } from './masker.ts';

type Piece = { s: 1 | 2; bytes: Uint8Array };

/** Masks the output of one task, each stream for itself; limits are counted on what comes out. */
export class OutputMask {
  readonly #maskers: Readonly<Record<1 | 2, Masker>> | undefined;

  /** Without an automaton everything passes untouched. */
  constructor(automaton: Automaton | undefined) {
    this.#maskers = automaton && { 1: new Masker(automaton), 2: new Masker(automaton) };
  }

  /** How often something was masked so far. */
  get times(): number {
    const maskers = this.#maskers;
    return maskers === undefined ? 0 : maskers[1].count + maskers[2].count;
  }

  readonly over = (source: AsyncIterable<Piece>): AsyncIterable<Piece> =>
    this.#maskers === undefined ? source : masked(source, this.#maskers);
}

async function* masked(
  source: AsyncIterable<Piece>,
  maskers: Readonly<Record<1 | 2, Masker>>,
): AsyncGenerator<Piece, void, undefined> {
  for await (const { s, bytes } of source) {
    const passed = maskers[s].write(bytes);
    if (passed.length > 0) yield { s, bytes: passed };
  }
  for (const s of [1, 2] as const) {
    const rest = maskers[s].end();
    if (rest.length > 0) yield { s, bytes: rest };
  }
}
