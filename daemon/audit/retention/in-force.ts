import type { AnyRecord, RecordData } from '#contract/records.ts';

/** `of` is the number of the record, `at` where its line can be read: there, or where it is said again. */
export type InForcePlace = { of: number; at: number };

/**
 * Records that count until another one takes their place, however old they are: a fold over the log.
 * Those in a part that is pruned have to be carried over first.
 */
export class InForce {
  readonly #places = new Map<string, InForcePlace>();
  /** Tokens whose time is over one day; until then, and where nobody revoked them, they count. */
  readonly #tokens = new Map<string, number>();
  /** A token is never in force again, even where the record of its making is carried after that. */
  readonly #revoked = new Set<string>();

  fold(record: AnyRecord): void {
    if (record.type === 'log.carried') this.#carry(record.seq, record.data);
    else if (record.type === 'log.hold.cleared') this.#places.delete(`hold ${record.data.hold}`);
    else if (record.type === 'tool.withdrawn') this.#withdraw(record);
    else if (record.type === 'token.revoked') this.#revoke(`token ${record.data.token}`);
    else this.#put(keyOf(record), { of: record.seq, at: record.seq });
    if (record.type === 'token.created') this.#keepToken(record);
  }

  /** Those whose line lies before `to`, oldest first. */
  before(to: number): InForcePlace[] {
    const places = [...this.#places.values()].filter(({ at }) => at < to);
    return places.toSorted((a, b) => a.of - b.of);
  }

  #carry(at: number, { of, line }: RecordData<'log.carried'>): void {
    const record = JSON.parse(line) as AnyRecord;
    this.#put(keyOf(record), { of, at });
    if (record.type === 'token.created') this.#keepToken(record);
  }

  #keepToken({ data, ts }: Extract<AnyRecord, { type: 'token.created' }>): void {
    this.#tokens.set(`token ${data.token}`, Date.parse(data.expires_at));
    const over = [...this.#tokens].filter(([, until]) => until < Date.parse(ts));
    for (const [key] of over) this.#forget(key);
  }

  #revoke(key: string): void {
    this.#revoked.add(key);
    this.#forget(key);
  }

  #forget(key: string): void {
    this.#tokens.delete(key);
    this.#places.delete(key);
  }

  // Stays itself: a line of the list that is said again late must not count any more.
  #withdraw(record: AnyRecord & { type: 'tool.withdrawn' }): void {
    const { uid, name } = record.data;
    const lines = `tool ${uid} ${name} `;
    for (const key of this.#places.keys()) if (key.startsWith(lines)) this.#places.delete(key);
    this.#put(keyOf(record), { of: record.seq, at: record.seq });
  }

  // A newer one may stand between a record and where it is said again.
  #put(key: string | undefined, place: InForcePlace): void {
    if (key === undefined || this.#revoked.has(key)) return;
    if ((this.#places.get(key)?.of ?? -1) > place.of) return;
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
    case 'token.created':
      return `token ${record.data.token}`;
    case 'image.resolved':
      return `image ${record.data.reference}`;
    case 'tool.allowed':
      return `tool ${record.data.uid} ${record.data.name} ${record.data.image}`;
    case 'tool.withdrawn':
      return `no-tool ${record.data.uid} ${record.data.name}`;
    default:
      return undefined;
  }
}
