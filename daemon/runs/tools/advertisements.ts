import type { Digest } from '#contract/ids.ts';
import type { AnyRecord } from '#contract/records.ts';

/** What is on record of an image's programs; the list itself is a blob. */
export type Advertisement = {
  image: Digest;
  list: Digest;
  at: string;
  leftOut: number;
  wrong: readonly string[];
};

/** The newest list of each image: a fold over the log. */
export class Advertisements {
  readonly #byImage = new Map<Digest, Advertisement & { seq: number }>();

  fold(record: AnyRecord): void {
    if (record.type !== 'tools.advertised') return;
    const { image, list, left_out: leftOut, wrong } = record.data;
    if (list === undefined || (this.#byImage.get(image)?.seq ?? -1) > record.seq) return;
    this.#byImage.set(image, { image, list, at: record.ts, leftOut, wrong, seq: record.seq });
  }

  get(image: Digest): Advertisement | undefined {
    return this.#byImage.get(image);
  }

  all(): unknown {
    return [...this.#byImage].toSorted(([a], [b]) => (a < b ? -1 : 1));
  }
}
