import { lineMax } from './clean.ts';

const keptCharactersMax = 64 * 1024 * 1024;

/**
 * Passes whole lines on at once, or keeps the last few for the end. A line without an end is broken
 * as the cleaner breaks it, and of what is kept the oldest goes when it gets too much.
 */
export class Tail {
  readonly #max: number | undefined;
  readonly #write: (line: string) => Promise<void>;
  #kept: string[] = [];
  #keptCharacters = 0;
  #rest = '';

  constructor(max: number | undefined, write: (line: string) => Promise<void>) {
    this.#max = max;
    this.#write = write;
  }

  async push(text: string): Promise<void> {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) await this.#line(line);
    while (this.#rest.length > lineMax) {
      await this.#line(this.#rest.slice(0, lineMax));
      this.#rest = this.#rest.slice(lineMax);
    }
  }

  async end(): Promise<void> {
    if (this.#rest !== '') await this.#line(this.#rest);
    for (const line of this.#kept.slice(-(this.#max ?? 0) || this.#kept.length)) {
      await this.#write(line);
    }
  }

  async #line(line: string): Promise<void> {
    if (this.#max === undefined) {
      await this.#write(line);
      return;
    }
    if (this.#max === 0) return;
    this.#kept.push(line);
    this.#keptCharacters += line.length;
    const isMuch = this.#keptCharacters > keptCharactersMax && this.#kept.length > 1;
    if (this.#kept.length <= 2 * this.#max && !isMuch) return;
    this.#kept = this.#kept.slice(
      -Math.min(this.#max, isMuch ? this.#kept.length >> 1 : this.#max),
    );
    this.#keptCharacters = this.#kept.reduce((sum, each) => sum + each.length, 0);
  }
}
