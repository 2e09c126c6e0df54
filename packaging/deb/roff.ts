/** Text that roff prints as it is: no escape, no request at the start of a line, hyphens as typed. */
export function roffText(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll(/[^\0-\x7f]/gu, (char) => `\\[u${codeOf(char)}]`)
    .replaceAll('`', '\\(ga')
    .split('\n')
    .map((line) => (/^[.']/.test(line) ? `\\&${line}` : line))
    .join('\n');
}

function codeOf(char: string): string {
  return (char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
}

/** An argument of a macro. */
export function roffArgument(text: string): string {
  return `"${roffText(text.replaceAll('\n', ' ')).replaceAll('"', '\\(dq')}"`;
}

export type Page = {
  name: string;
  section: 1 | 5 | 8;
  summary: string;
  /** Of the day on which this version was made: the same sources make the same page. */
  date: string;
  version: string;
  body: readonly string[];
};

/** A manual page in man(7). */
export function manualPage({ name, section, summary, date, version, body }: Page): string {
  const title = [name.toUpperCase(), String(section)].map(roffArgument);
  return [
    // Dates are read by programs, which know no escapes.
    `.TH ${title.join(' ')} ${date} ${roffArgument(`orchestra ${version}`)} "Orchestra"`,
    '.SH NAME',
    `${roffText(name)} \\- ${roffText(summary)}`,
    ...body,
    '',
  ].join('\n');
}

/** Lines as they are, in a fixed width. */
export function verbatim(text: string): string[] {
  return [
    '.nf',
    ...roffText(text.trim())
      .split('\n')
      .map((line) => line || '\\&'),
    '.fi',
  ];
}

/** A term and what it means. */
export function term(word: string, text: string): string[] {
  return ['.TP', `.B ${roffArgument(word)}`, roffText(text)];
}
