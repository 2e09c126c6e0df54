import type { Digest } from '#contract/ids.ts';
import type { AnyRecord } from '#contract/records.ts';

/** What is on record of an image's programs; the list itself is a blob. */
export type Advertisement = {
  image: Digest;
  list: Digest;
  at: string;
  tools: number;
  leftOut: number;
  wrong: readonly string[];
};

/** The newest list of each image: a fold over the log. */
export class Advertisements {
  readonly #byImage = new Map<Digest, Advertisement & { seq: number }>();

  readonly #troubles = new Map<Digest, string>();

  fold(record: AnyRecord): void {
    if (record.type !== 'tools.advertised') return;
    const { image, list, tools, left_out: leftOut, wrong, reason = '' } = record.data;
    if (list === undefined) {
      this.#troubles.set(image, reason);
      return;
    }
    this.#troubles.delete(image);
    if ((this.#byImage.get(image)?.seq ?? -1) > record.seq) return;
    this.#byImage.set(image, {
      image,
      list,
      at: record.ts,
      tools,
      leftOut,
      wrong,
      seq: record.seq,
    });
  }

  /** Why it could not be measured the last time, where that is so. */
  troubleOf(image: Digest): string | undefined {
    return this.#troubles.get(image);
  }

  get(image: Digest): Advertisement | undefined {
    return this.#byImage.get(image);
  }

  all(): unknown {
    return [...this.#byImage].toSorted(([a], [b]) => (a < b ? -1 : 1));
  }
}
