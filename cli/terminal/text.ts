import stringWidth from 'string-width';
import { safe } from './clean.ts';

/** Cuts cleaned text without escape sequences to a number of terminal cells. */
export function cut(text: string, cells: number): string {
  if (stringWidth(text) <= cells) return text;
  let [kept, used] = ['', 0];
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    const width = stringWidth(segment);
    if (used + width > cells - 1) break;
    kept += segment;
    used += width;
  }
  return cells < 1 ? '' : `${kept}…`;
}

export function pad(text: string, cells: number): string {
  return text + ' '.repeat(Math.max(0, cells - stringWidth(text)));
}

/** Rows as columns of equal width; every cell is made safe here. The last column is not padded. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map(safe));
  const widths: number[] = [];
  for (const row of cells) {
    for (const [at, cell] of row.entries()) {
      widths[at] = Math.max(widths[at] ?? 0, stringWidth(cell));
    }
  }
  return cells.map((row) =>
    row
      .map((cell, at) => (at === row.length - 1 ? cell : pad(cell, widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}
