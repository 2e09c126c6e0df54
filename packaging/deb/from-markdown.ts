import { roffText, term, verbatim } from './roff.ts';

/**
 * The body of a manual page from one of our own documents: headings, paragraphs, lists, fenced
 * blocks and tables, whose rows become terms. What is no such thing comes out as a paragraph.
 */
export function fromMarkdown(text: string): string[] {
  const out: string[] = [];
  for (const block of blocksOf(text)) out.push(...spelled(block));
  return out;
}

/** Lines that belong together: a fenced block whole, anything else up to an empty line. */
function blocksOf(text: string): string[][] {
  const blocks: string[][] = [];
  let block: string[] = [];
  let isFenced = false;
  const close = () => {
    if (block.length > 0) blocks.push(block);
    block = [];
  };
  for (const line of text.split('\n')) {
    const isFence = line.startsWith('```');
    if (isFence && !isFenced) close();
    if (isFence || isFenced) block.push(line);
    else if (line.trim() === '') close();
    else block.push(line);
    if (!isFence) continue;
    isFenced = !isFenced;
    if (!isFenced) close();
  }
  close();
  return blocks;
}

function spelled(block: readonly string[]): string[] {
  const [first = ''] = block;
  const heading = /^(#+) (.*)$/.exec(first);
  if (heading !== null) {
    const [, marks = '', words = ''] = heading;
    // The first of a document is its title, which the page has already.
    if (marks === '#') return spelled(block.slice(1));
    return [`.SH ${roffText(plain(words).toUpperCase())}`, ...spelled(block.slice(1))];
  }
  if (first.startsWith('```')) return ['.PP', ...verbatim(block.slice(1, -1).join('\n'))];
  if (first.startsWith('|')) return tableOf(block);
  if (/^\d+\. |^- /.test(first)) return itemsOf(block);
  return first === '' ? [] : ['.PP', roffText(plain(block.join('\n')))];
}

function tableOf(rows: readonly string[]): string[] {
  const [head = [], , ...body] = rows.map(cellsOf);
  return body.flatMap(([name = '', ...rest]) => {
    const said = rest.map((cell, at) => {
      const title = head[at + 1] ?? '';
      return title === 'default' || title === 'defaults' ? `Default: ${cell}.` : `${cell}.`;
    });
    return term(plain(name), said.map(plain).toReversed().join(' '));
  });
}

function cellsOf(row: string): string[] {
  return row
    .replace(/^\||\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'));
}

function itemsOf(lines: readonly string[]): string[] {
  const items = lines.join('\n').split(/\n(?=- |\d+\. )/);
  return items.flatMap((item) => [
    '.IP \\(bu 2',
    roffText(plain(item.replace(/^(?:-|\d+\.) +/, '').replaceAll(/\n\s+/g, '\n'))),
  ]);
}

/** Without the marks for code, emphasis and links. */
function plain(text: string): string {
  return text
    .replaceAll(/\[([^\]]+)\]\([^)]*\)/g, '$1')
    .replaceAll(/`([^`]*)`/g, '$1')
    .replaceAll(/\*\*([^*]+)\*\*/g, '$1')
    .replaceAll(/(?<![\w*])_([^_]+)_(?![\w*])/g, '$1');
}
