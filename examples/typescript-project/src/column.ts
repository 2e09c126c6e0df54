export type Cell = string | number | boolean | null;
export type ColumnType = 'number' | 'boolean' | 'date' | 'text';

export interface Column {
  name: string;
  type: ColumnType;
}

/** The narrowest type that every non-empty value fits; a column without values is text. */
export function inferType(values: readonly string[]): ColumnType {
  const filled = values.filter((v) => v !== '');
  if (filled.length === 0) return 'text';
  if (filled.every(isNumber)) return 'number';
  if (filled.every((v) => v === 'true' || v === 'false')) return 'boolean';
  if (filled.every(isDate)) return 'date';
  return 'text';
}

export function toCell(value: string, type: ColumnType): Cell {
  if (value === '' && type !== 'text') return null;
  if (type === 'number') return Number(value);
  if (type === 'boolean') return value === 'true';
  return value;
}

// A number with a leading zero is a code (a postcode, a phone number): it stays text.
const isNumber = (v: string) => /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]?\d+)?$/i.test(v);

function isDate(v: string): boolean {
  const match = /^(\d{4})-(\d\d)-(\d\d)$/.exec(v);
  if (!match) return false;
  const [year, month, day] = match.slice(1).map(Number) as [number, number, number];
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}
