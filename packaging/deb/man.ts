import type { CommandSpec, OptionSpec } from '#cli/command-spec.ts';
import { commands, globalOptions } from '#cli/commands.ts';
import { exitMeanings } from '#cli/exit-meanings.ts';
import { fromMarkdown } from './from-markdown.ts';
import { manualPage, roffArgument, roffText, term, verbatim } from './roff.ts';

export type Stamp = { version: string; date: string };

/** What a program says of itself with `--help`, by its name. */
export type Usages = Readonly<Record<string, string>>;

/**
 * Every manual page by its file name: one of `orchestra`, one of each of its commands, one of each
 * other program, and one of the settings. Made from the table that the parser is made from and from
 * docs/CONFIG.md, so none can fall behind.
 */
export function manualPages(
  stamp: Stamp,
  { usages, settings }: { usages: Usages; settings: string },
): Map<string, string> {
  const pages = new Map([['orchestra.1', overview(stamp)]]);
  for (const spec of commands) pages.set(`orchestra-${spec.name}.1`, commandPage(spec, stamp));
  for (const [name, usage] of Object.entries(usages))
    pages.set(`${name}.8`, programPage(name, usage, stamp));
  pages.set('orchestrad.yaml.5', settingsPage(settings, stamp));
  return pages;
}

function overview(stamp: Stamp): string {
  const rows = commands.flatMap((spec) => term(`orchestra-${spec.name}(1)`, sentence(spec.text)));
  const exits = Object.entries(exitMeanings).flatMap(([code, text]) => term(code, sentence(text)));
  return manualPage({
    ...stamp,
    name: 'orchestra',
    section: 1,
    summary: 'run plans in locked containers, with a record that nobody can quietly change',
    body: [
      '.SH SYNOPSIS',
      '.B orchestra',
      roffText('[options] command [arguments]'),
      '.SH COMMANDS',
      ...rows,
      '.SH OPTIONS',
      ...globalOptions.flatMap(option),
      '.SH EXIT STATUS',
      ...exits,
      '.SH SEE ALSO',
      '.BR orchestrad (8),',
      '.BR orchestra\\-signer (8),',
      '.BR orchestra\\-witness (8)',
    ],
  });
}

function commandPage(spec: CommandSpec, stamp: Stamp): string {
  return manualPage({
    ...stamp,
    name: `orchestra-${spec.name}`,
    section: 1,
    summary: spec.text,
    body: [
      '.SH SYNOPSIS',
      ...synopses(spec, ['orchestra', spec.name]).flatMap((lines, at) =>
        at === 0 ? lines : ['.br', ...lines],
      ),
      ...(spec.alias === undefined
        ? []
        : ['.SH DESCRIPTION', roffText(`Also known as orchestra ${spec.alias}.`)]),
      ...(spec.load === undefined ? [] : body(spec)),
      ...(spec.children ?? []).flatMap((child) => part(child, [spec.name])),
      '.SH SEE ALSO',
      '.BR orchestra (1)',
    ],
  });
}

function synopses(spec: CommandSpec, words: readonly string[]): string[][] {
  const below = (spec.children ?? []).flatMap((child) => synopses(child, [...words, child.name]));
  if (spec.load === undefined) return below;
  const options = spec.options === undefined ? '' : ' [options]';
  const rest = `${options} ${spec.args ?? ''}`.trim();
  return [
    [`.B ${roffArgument(words.join(' '))}`, ...(rest === '' ? [] : [roffText(rest)])],
    ...below,
  ];
}

function part(spec: CommandSpec, above: readonly string[]): string[] {
  const words = [...above, spec.name];
  const below = (spec.children ?? []).flatMap((child) => part(child, words));
  if (spec.load === undefined) return below;
  return [
    `.SH ${roffArgument(words.join(' ').toUpperCase())}`,
    roffText(sentence(spec.text)),
    ...inner(spec),
    ...below,
  ];
}

function body(spec: CommandSpec): string[] {
  const options = spec.options?.flatMap(option) ?? [];
  return [
    ...(options.length === 0 ? [] : ['.SH OPTIONS', ...options]),
    ...(spec.more === undefined ? [] : ['.SH NOTES', ...verbatim(spec.more)]),
  ];
}

function inner(spec: CommandSpec): string[] {
  return [
    ...(spec.options?.flatMap(option) ?? []),
    ...(spec.more === undefined ? [] : ['.PP', ...verbatim(spec.more)]),
  ];
}

function option({ flags, text, values }: OptionSpec): string[] {
  const list = Array.isArray(values) ? ` One of: ${values.join(', ')}.` : '';
  return term(flags, `${sentence(text)}${list}`);
}

function programPage(name: string, usage: string, stamp: Stamp): string {
  const [first = '', ...rest] = usage.trim().split('\n');
  return manualPage({
    ...stamp,
    name,
    section: 8,
    summary: first.replace(/^[\w-]+: /, ''),
    body: [
      '.SH USAGE',
      ...verbatim(rest.join('\n')),
      '.SH SEE ALSO',
      '.BR orchestra (1),',
      '.BR orchestrad.yaml (5)',
    ],
  });
}

function settingsPage(text: string, stamp: Stamp): string {
  return manualPage({
    ...stamp,
    name: 'orchestrad.yaml',
    section: 5,
    summary: 'settings of orchestrad',
    body: [
      '.SH DESCRIPTION',
      ...fromMarkdown(text),
      '.SH FILES',
      roffText('/etc/orchestra/orchestrad.yaml'),
      '.SH SEE ALSO',
      '.BR orchestrad (8)',
    ],
  });
}

function sentence(text: string): string {
  const [first = '', ...rest] = text;
  return `${first.toUpperCase()}${rest.join('')}${/[.!?]$/.test(text) ? '' : '.'}`;
}
