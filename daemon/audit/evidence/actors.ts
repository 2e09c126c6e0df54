import type { Actor, LogRecord } from '#contract/records.ts';
import { csvCell } from '../export/csv.ts';

type ActorRow = { actor: Actor; records: number; denied: number; first: string; last: string };

/** Who acted, and how that was established. */
export class Actors {
  readonly #actors = new Map<string, ActorRow>();

  add({ actor, outcome, ts }: LogRecord): void {
    const { kind, auth, uid, name } = actor;
    const key = `${kind} ${auth} ${uid ?? ''} ${name ?? ''}`;
    const row = this.#actors.get(key) ?? { actor, records: 0, denied: 0, first: ts, last: ts };
    this.#actors.set(key, row);
    row.records += 1;
    row.last = ts;
    if (outcome === 'denied') row.denied += 1;
  }

  get size(): number {
    return this.#actors.size;
  }

  csv(): string {
    const head = 'kind,auth,uid,name,records,denied,first,last';
    const rows = [...this.#actors.values()].map(({ actor, records, denied, first, last }) =>
      [actor.kind, actor.auth, actor.uid, actor.name, records, denied, first, last]
        .map(csvCell)
        .join(','),
    );
    return [head, ...rows].map((row) => `${row}\r\n`).join('');
  }
}
