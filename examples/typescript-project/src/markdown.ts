import type { Cell } from './column.js';
import type { Table } from './table.js';

/** A GitHub-flavoured table; numbers are right-aligned, pipes and line breaks are escaped. */
export function toMarkdown(table: Table): string {
  const cells = table.rows.map((row) => row.map(show));
  const head = table.columns.map((c) => show(c.name));
  const right = table.columns.map((c) => c.type === 'number');
  const widths = head.map((h, i) =>
    Math.max(3, h.length, ...cells.map((r) => (r[i] ?? '').length)),
  );

  const line = (row: readonly string[]) =>
    `| ${row.map((c, i) => (right[i] ? c.padStart(widths[i] ?? 0) : c.padEnd(widths[i] ?? 0))).join(' | ')} |`;
  const rule = widths.map((w, i) => (right[i] ? `${'-'.repeat(w - 1)}:` : '-'.repeat(w)));
  return [line(head), `| ${rule.join(' | ')} |`, ...cells.map(line)].join('\n') + '\n';
}

function show(cell: Cell): string {
  if (cell === null) return '';
  if (typeof cell === 'number')
    return Number.isInteger(cell) ? String(cell) : String(Number(cell.toFixed(3)));
  return String(cell).replaceAll('\\', '\\\\').replaceAll('|', '\\|').replaceAll(/\r?\n/g, '<br>');
}
