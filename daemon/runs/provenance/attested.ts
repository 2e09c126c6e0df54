import type { Digest } from '#contract/ids.ts';
import type { AnyRecord } from '#contract/records.ts';

/** Which runs have been attested, and in which blob: a fold over the log. */
export class Attested {
  readonly #bundles = new Map<string, Digest>();

  fold(record: AnyRecord): void {
    if (record.type !== 'artifact.attested') return;
    const run = record.obj?.['run'];
    if (run !== undefined) this.#bundles.set(run, record.data.bundle);
  }

  /** The newest: one that was gone may have been made again by a later version. */
  bundleOf(run: string): Digest | undefined {
    return this.#bundles.get(run);
  }

  all(): [string, Digest][] {
    return [...this.#bundles];
  }
}
