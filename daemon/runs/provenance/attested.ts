import type { Digest } from '#contract/ids.ts';
import type { AnyRecord } from '#contract/records.ts';

/** Which runs have been attested, and in which blob: a fold over the log. */
export class Attested {
  readonly #bundles = new Map<string, { bundle: Digest; seq: number }>();

  fold(record: AnyRecord): void {
    if (record.type === 'log.pruned') this.#forget(record.data.to_seq);
    if (record.type !== 'artifact.attested') return;
    const run = record.obj?.['run'];
    if (run !== undefined) {
      this.#bundles.set(run, { bundle: record.data.bundle, seq: record.seq });
    }
  }

  /** The newest: one that was gone may have been made again by a later version. */
  bundleOf(run: string): Digest | undefined {
    return this.#bundles.get(run)?.bundle;
  }

  all(): [string, Digest][] {
    return [...this.#bundles].map(([run, { bundle }]) => [run, bundle]);
  }

  #forget(to: number): void {
    for (const [run, { seq }] of this.#bundles) if (seq < to) this.#bundles.delete(run);
  }
}
