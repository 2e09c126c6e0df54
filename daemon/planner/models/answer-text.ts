import { ModelTrouble } from './trouble.ts';

/** More than any plan that a model may make. */
const textMax = 512 * 1024;

/** Puts the pieces of an answer together, up to what an answer may have. */
export class AnswerText {
  #pieces: string[] = [];
  #length = 0;

  add(piece: unknown): void {
    if (typeof piece !== 'string') return;
    this.#length += piece.length;
    if (this.#length > textMax) {
      throw new ModelTrouble('too_large', `the answer is longer than ${textMax} characters`);
    }
    this.#pieces.push(piece);
  }

  get text(): string {
    return this.#pieces.join('');
  }
}

export function count(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}
