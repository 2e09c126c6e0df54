import type { AnyRecord } from '#contract/records.ts';
import type { EpochKey } from './types.ts';

/** The keys of the log as its own records tell them: a fold. */
export class LogKeys {
  readonly #keys: EpochKey[] = [];
  /** Of each: the smallest tree that it signs, and when it came. */
  readonly #begins: { size: number; at: number }[] = [];

  fold({ type, seq, data, ts }: AnyRecord): void {
    if (type === 'key.created' || type === 'key.rotated') {
      this.#keys.push({ epoch: data.epoch, vkey: data.vkey, seq });
      // The record of a successor is the last thing that the key before it signs.
      const size = type === 'key.created' ? seq + 1 : seq + 2;
      this.#begins.push({ size, at: Date.parse(ts) });
    } else if (type === 'key.destroyed') {
      const at = this.#keys.findIndex(({ vkey }) => vkey === data.vkey);
      const key = this.#keys[at];
      if (key !== undefined) this.#keys[at] = { ...key, final: data.checkpoint };
    }
  }

  /** In order of their epochs. */
  get all(): readonly EpochKey[] {
    return this.#keys;
  }

  get newest(): EpochKey | undefined {
    return this.#keys.at(-1);
  }

  /** When the newest came, in milliseconds since 1970. */
  get newestAt(): number | undefined {
    return this.#begins.at(-1)?.at;
  }

  /** Whose key signs a tree of that size. */
  for(size: number): EpochKey | undefined {
    return this.#keys[this.#begins.findLastIndex((begin) => size >= begin.size)];
  }
}
