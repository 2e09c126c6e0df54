/**
 * Text of strangers - names, intents, reasons - inside our own Markdown: it can look like nothing
 * but text. Control and direction-changing characters are shown by their code; addresses do not
 * become links.
 */
export function escapeMarkdown(text: string): string {
  return text
    .replaceAll(
      // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
      /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
      (c) => `U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`,
    )
    .replaceAll(/[\\`*_[\]<>|~&]|:(?=\/\/)|(?<=www)\.|@(?=\w)/g, (c) =>
      c === '<' ? '&lt;' : c === '&' ? '&amp;' : `\\${c}`,
    );
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}
