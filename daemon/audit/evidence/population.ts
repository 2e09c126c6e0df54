import type { LogRecord, Outcome } from '#contract/records.ts';
import { csvCell } from '../export/csv.ts';

export type PopulationRow = { day: string; type: string; records: number } & Record<
  Outcome,
  number
>;

/** How many records of each type there are on each day, all of them: what samples are drawn from. */
export class Population {
  readonly #rows = new Map<string, PopulationRow>();
  records = 0;

  add({ ts, type, outcome }: LogRecord): void {
    const day = ts.slice(0, 10);
    const key = `${day} ${type}`;
    let row = this.#rows.get(key);
    if (row === undefined) {
      row = { day, type, records: 0, ok: 0, denied: 0, failed: 0, unknown: 0 };
      this.#rows.set(key, row);
    }
    row.records += 1;
    row[outcome] += 1;
    this.records += 1;
  }

  rows(): PopulationRow[] {
    return [...this.#rows.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }

  of(...types: string[]): number {
    return this.rows()
      .filter(({ type }) => types.some((each) => type === each || type.startsWith(`${each}.`)))
      .reduce((sum, { records }) => sum + records, 0);
  }

  denied(): number {
    return this.rows().reduce((sum, { denied }) => sum + denied, 0);
  }

  csv(): string {
    const head = 'day,type,records,ok,denied,failed,unknown';
    const rows = this.rows().map(({ day, type, records, ok, denied, failed, unknown }) =>
      [day, type, records, ok, denied, failed, unknown].map(csvCell).join(','),
    );
    return [head, ...rows].map((row) => `${row}\r\n`).join('');
  }
}
