/** Where and why a text is not CSV. Lines and columns count from one. */
export class CsvError extends Error {
  override readonly name = 'CsvError';
  readonly line: number;
  readonly column: number;

  constructor(message: string, line: number, column: number) {
    super(`${message} (line ${line}, column ${column})`);
    this.line = line;
    this.column = column;
  }
}

export interface CsvOptions {
  /** One character; a comma unless told otherwise. */
  delimiter?: string;
}

/** Reads RFC 4180: quoted fields, doubled quotes, line breaks inside quotes, LF or CRLF. */
export function parseCsv(text: string, { delimiter = ',' }: CsvOptions = {}): string[][] {
  if (delimiter.length !== 1 || delimiter === '"' || delimiter === '\n' || delimiter === '\r') {
    throw new RangeError(
      'the delimiter must be one character, and neither a quote nor a line break',
    );
  }
  const rows: string[][] = [];
  let row: string[] = [];
  let at = text.startsWith('\uFEFF') ? 1 : 0;
  let line = 1;
  let lineStart = at;

  while (at < text.length) {
    if (text[at] === '"') {
      const openedAt = { line, column: at - lineStart + 1 };
      let field = '';
      for (at += 1; ; at += 1) {
        const c = text[at];
        if (c === undefined) {
          throw new CsvError('a quoted field is never closed', openedAt.line, openedAt.column);
        }
        if (c === '"') {
          if (text[at + 1] !== '"') break;
          at += 1;
        } else if (c === '\n') {
          line += 1;
          lineStart = at + 1;
        }
        field += c;
      }
      at += 1;
      row.push(field);
      const next = text[at];
      if (next !== undefined && next !== delimiter && next !== '\n' && next !== '\r') {
        throw new CsvError('text after a closing quote', line, at - lineStart + 1);
      }
    } else {
      const start = at;
      while (at < text.length && text[at] !== delimiter && text[at] !== '\n' && text[at] !== '\r') {
        if (text[at] === '"') {
          throw new CsvError('a quote inside a field without quotes', line, at - lineStart + 1);
        }
        at += 1;
      }
      row.push(text.slice(start, at));
    }

    const end = text[at];
    if (end === delimiter) {
      at += 1;
      if (at === text.length) row.push('');
      continue;
    }
    if (end === '\r') at += text[at + 1] === '\n' ? 2 : 1;
    else if (end === '\n') at += 1;
    rows.push(row);
    row = [];
    line += 1;
    lineStart = at;
  }
  if (row.length > 0) rows.push(row);
  return rows;
}

/** Writes what `parseCsv` reads back unchanged. */
export function formatCsv(
  rows: readonly (readonly string[])[],
  { delimiter = ',' }: CsvOptions = {},
): string {
  const quote = (field: string, alone: boolean) =>
    field.includes(delimiter) || /["\r\n\uFEFF]/.test(field) || (alone && field === '')
      ? `"${field.replaceAll('"', '""')}"`
      : field;
  return rows
    .map((row) => row.map((f) => quote(f, row.length === 1)).join(delimiter) + '\n')
    .join('');
}
