import type { AnyRecord, RecordData } from '#contract/records.ts';

/** `of` is the number of the record, `at` where its line can be read: there, or where it is said again. */
export type InForcePlace = { of: number; at: number };

/**
 * Records that count until another one takes their place, however old they are: a fold over the log.
 * Those in a part that is pruned have to be carried over first.
 */
export class InForce {
  readonly #places = new Map<string, InForcePlace>();

  fold(record: AnyRecord): void {
    if (record.type === 'log.carried') this.#carry(record.seq, record.data);
    else if (record.type === 'log.hold.cleared') this.#places.delete(`hold ${record.data.hold}`);
    else this.#put(keyOf(record), { of: record.seq, at: record.seq });
  }

  /** Those whose line lies before `to`, oldest first. */
  before(to: number): InForcePlace[] {
    const places = [...this.#places.values()].filter(({ at }) => at < to);
    return places.toSorted((a, b) => a.of - b.of);
  }

  #carry(at: number, { of, line }: RecordData<'log.carried'>): void {
    this.#put(keyOf(JSON.parse(line) as AnyRecord), { of, at });
  }

  // A newer one may stand between a record and where it is said again.
  #put(key: string | undefined, place: InForcePlace): void {
    if (key === undefined || (this.#places.get(key)?.of ?? -1) > place.of) return;
    this.#places.set(key, place);
  }
}

function keyOf(record: AnyRecord): string | undefined {
  switch (record.type) {
    case 'log.genesis':
      return 'genesis';
    case 'log.loss.acknowledged':
      return `loss ${record.seq}`;
    case 'log.hold.set':
      return `hold ${record.data.hold}`;
    case 'key.created':
    case 'key.rotated':
    case 'key.destroyed':
      return `${record.type} ${record.data.epoch} ${record.seq}`;
    case 'data.erased':
      return `erased ${record.data.subject}`;
    case 'image.resolved':
      return `image ${record.data.reference}`;
    default:
      return undefined;
  }
}
