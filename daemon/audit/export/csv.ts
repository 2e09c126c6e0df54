import type { Exportable, Format } from './format.ts';
import { quietJson, visible } from './visible.ts';

/**
 * RFC 4180, for people and sheets. Not verifiable, and each row says so: the hash is that of the
 * line in the log, which cannot be made again from the cells.
 */
export const csv: Format = {
  contentType: 'text/csv; charset=utf-8; header=present',
  lineEnd: '\r\n',
  head: () => csvHead(),
  record: (line) => csvRow(line),
};

export function csvHead(): string {
  return Object.keys(columns).join(',');
}

export function csvRow(line: Exportable): string {
  return Object.values(columns)
    .map((cell) => spell(cell(line)))
    .join(',');
}

type Cell = (line: Exportable) => string | number | undefined;

const text = (value: string | undefined) => value && visible(value);
const json = (value: object | undefined) => value && quietJson(JSON.stringify(value));

const columns: Readonly<Record<string, Cell>> = {
  seq: ({ record }) => record.seq,
  ts: ({ record }) => text(record.ts),
  type: ({ record }) => text(record.type),
  stage: ({ record }) => text(record.stage),
  outcome: ({ record }) => text(record.outcome),
  sev: ({ record }) => text(record.sev),
  actor_kind: ({ record }) => text(record.actor.kind),
  actor_auth: ({ record }) => text(record.actor.auth),
  actor_uid: ({ record }) => record.actor.uid,
  actor_name: ({ record }) => text(record.actor.name),
  run: ({ record }) => text(record.run),
  rseq: ({ record }) => record.rseq,
  req: ({ record }) => text(record.req),
  obj: ({ record }) => json(record.obj),
  policy: ({ record }) => text(record.pol?.hash),
  rule: ({ record }) => text(record.pol?.rule),
  data: ({ record }) => json(record.data),
  hash: ({ hash }) => hash,
  verifiable: () => 'no',
};

/** One cell that nobody makes a formula or a second row of, whatever is in it. */
export function csvCell(value: string | number | undefined): string {
  return spell(typeof value === 'string' ? visible(value) : value);
}

// A sheet takes a cell that begins like this for a formula, whatever stands before it in blanks. One that
// has the mark already gets another, or two texts would be spelled alike.
const formula = /^'*\s*[=+\-@\uff1d\uff0b\uff0d\uff20|%]/u;

function spell(value: string | number | undefined): string {
  if (value === undefined) return '';
  if (typeof value === 'number') return `${value}`;
  const still = formula.test(value) ? `'${value}` : value;
  return /[",;\s']/.test(still) ? `"${still.replaceAll('"', '""')}"` : still;
}
