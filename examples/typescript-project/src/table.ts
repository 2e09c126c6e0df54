import type { Cell, Column } from './column.js';
import { inferType, toCell } from './column.js';
import type { CsvOptions } from './csv.js';
import { parseCsv } from './csv.js';

export type Row = readonly Cell[];
export type Aggregate = 'count' | 'sum' | 'mean' | 'min' | 'max';

/** An immutable table: every operation gives a new one. */
export class Table {
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];

  constructor(columns: readonly Column[], rows: readonly Row[]) {
    const names = new Set(columns.map((c) => c.name));
    if (names.size !== columns.length) throw new RangeError('two columns have the same name');
    for (const [i, row] of rows.entries()) {
      if (row.length !== columns.length) {
        throw new RangeError(`row ${i + 1} has ${row.length} cells instead of ${columns.length}`);
      }
    }
    this.columns = columns;
    this.rows = rows;
  }

  static fromCsv(text: string, options?: CsvOptions): Table {
    const [header, ...body] = parseCsv(text, options);
    if (!header) throw new RangeError('there is no header line');
    const columns = header.map((name, i) => ({
      name,
      type: inferType(body.map((r) => r[i] ?? '')),
    }));
    return new Table(
      columns,
      body.map((r) => r.map((value, i) => toCell(value, columns[i]?.type ?? 'text'))),
    );
  }

  where(column: string, holds: (cell: Cell) => boolean): Table {
    const i = this.indexOf(column);
    return new Table(
      this.columns,
      this.rows.filter((r) => holds(r[i] ?? null)),
    );
  }

  select(...names: string[]): Table {
    const picks = names.map((n) => this.indexOf(n));
    return new Table(
      picks.map((i) => this.columns[i] as Column),
      this.rows.map((r) => picks.map((i) => r[i] ?? null)),
    );
  }

  /** Sorts stably; empty cells come last in either direction. */
  sortBy(column: string, direction: 'up' | 'down' = 'up'): Table {
    const i = this.indexOf(column);
    const sign = direction === 'up' ? 1 : -1;
    const rows = this.rows.toSorted((a, b) => {
      const [x, y] = [a[i] ?? null, b[i] ?? null];
      if (x === null || y === null) return Number(x === null) - Number(y === null);
      return x < y ? -sign : x > y ? sign : 0;
    });
    return new Table(this.columns, rows);
  }

  /** One row for each value of `by`, in the order of first appearance. */
  groupBy(by: string, column: string, aggregate: Aggregate): Table {
    const [keyAt, valueAt] = [this.indexOf(by), this.indexOf(column)];
    const groups = new Map<Cell, number[]>();
    for (const row of this.rows) {
      const key = row[keyAt] ?? null;
      const values = groups.get(key) ?? [];
      const value = row[valueAt];
      if (typeof value === 'number') values.push(value);
      else if (aggregate === 'count' && value !== null) values.push(0);
      groups.set(key, values);
    }
    return new Table(
      [this.columns[keyAt] as Column, { name: `${aggregate} ${column}`, type: 'number' }],
      [...groups].map(([key, values]) => [key, reduce(values, aggregate)]),
    );
  }

  private indexOf(name: string): number {
    const i = this.columns.findIndex((c) => c.name === name);
    if (i < 0) throw new RangeError(`there is no column ${JSON.stringify(name)}`);
    return i;
  }
}

function reduce(values: readonly number[], aggregate: Aggregate): number | null {
  if (aggregate === 'count') return values.length;
  if (values.length === 0) return null;
  const sum = values.reduce((a, b) => a + b, 0);
  switch (aggregate) {
    case 'sum':
      return sum;
    case 'mean':
      return sum / values.length;
    case 'min':
      return Math.min(...values);
    case 'max':
      return Math.max(...values);
  }
}
