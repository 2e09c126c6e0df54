export { CsvError, formatCsv, parseCsv } from './csv.js';
export type { CsvOptions } from './csv.js';
export { inferType } from './column.js';
export type { Cell, Column, ColumnType } from './column.js';
export { Table } from './table.js';
export type { Aggregate, Row } from './table.js';
export { toMarkdown } from './markdown.js';
