import type { LogLine } from '../types.ts';
import type { About, Exportable, Format } from '../export/format.ts';
import type { Batch } from './target.ts';

const bytesMax = 1024 * 1024;

/** Gathers records for one handing over; full by number, by bytes, or where it has to end. */
export class Gathering {
  readonly from: number;
  readonly #options: GatherOptions;
  readonly #texts: string[] = [];
  #bytes = 0;
  to: number;
  /** Of the last record that was looked at. */
  hash: string;
  oldest: number | undefined;

  constructor(from: number, hash: string, options: GatherOptions) {
    this.from = from;
    this.to = from;
    this.hash = hash;
    this.#options = options;
  }

  add(line: LogLine): void {
    const { fits, format, about } = this.#options;
    this.to = line.record.seq + 1;
    this.hash = line.hash;
    if (fits?.(line) === false) return;
    const text = format.record(line, about);
    this.oldest ??= Date.parse(line.record.ts);
    this.#texts.push(text);
    this.#bytes += Buffer.byteLength(text);
  }

  get isFull(): boolean {
    const { recordsMax, upto } = this.#options;
    if (upto !== undefined && this.to >= upto) return true;
    return this.#texts.length >= recordsMax || this.#bytes >= bytesMax;
  }

  get isEmpty(): boolean {
    return this.#texts.length === 0;
  }

  batch(): Batch {
    return { from: this.from, to: this.to, texts: this.#texts, bytes: this.#bytes };
  }
}

export type GatherOptions = {
  recordsMax: number;
  upto: number | undefined;
  fits: ((line: Exportable) => boolean) | undefined;
  format: Format;
  about: About;
};
