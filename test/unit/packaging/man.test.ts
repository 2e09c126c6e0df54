import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { commands } from '#cli/commands.ts';
import { fromMarkdown } from '#packaging/deb/from-markdown.ts';
import { manualPages } from '#packaging/deb/man.ts';
import { ConfigFile } from '#daemon/config.ts';
import { roffArgument, roffText, verbatim } from '#packaging/deb/roff.ts';

const pages = manualPages(
  { version: '1.2.3', date: '2026-01-02' },
  {
    usages: { orchestrad: "orchestrad: does it\n\n  --flag\n.starts with a dot\n'and a quote\n" },
    settings: readFileSync(new URL('../../../docs/CONFIG.md', import.meta.url), 'utf8'),
  },
);
const has = (program: string) => spawnSync('which', [program]).status === 0;

test.each(['.so /etc/passwd', "'so /etc/passwd"])('no text becomes a request: %s', (text) => {
  expect(roffText(text)).toMatch(/^\\&/);
  expect(verbatim(`x\n${text}`)[2]).toMatch(/^\\&/);
});

test('no text becomes an escape, and no argument ends early', () => {
  expect(roffText('\\fBx')).toBe('\\efBx');
  expect(roffArgument('a "b" c\nd')).toBe('"a \\(dqb\\(dq c d"');
  expect(roffText('naïve – 🙂')).toBe('na\\[u00EF]ve \\[u2013] \\[u1F642]');
});

test('every command has a page of its own, and the first page names them all', () => {
  const overview = pages.get('orchestra.1') ?? '';
  for (const { name } of commands) {
    expect(pages.get(`orchestra-${name}.1`)).toContain('.SH SYNOPSIS');
    expect(overview).toContain(`orchestra\\-${name}(1)`);
  }
  expect(pages.has('orchestrad.8')).toBe(true);
});

test('the page of the settings explains each key that the daemon takes', () => {
  const page = pages.get('orchestrad.yaml.5') ?? '';
  const silent = Object.keys(ConfigFile.shape).filter((key) => !page.includes(roffText(key)));
  expect(silent).toEqual([]);
  expect(page).toMatch(/^\.B "state_dir"\n.*Default:/m);
});

test('a document becomes a page: headings, rows, lists, blocks, without marks', () => {
  const text = [
    '# Title',
    '',
    'Some `code` and a [link](X.md).',
    '',
    '## Part',
    '',
    '| key | default | meaning |',
    '| --- | --- | --- |',
    '| `a` | 1 | this \\| that |',
    '',
    '- one',
    '  more',
    '- two',
    '',
    '```sh',
    '.not a request',
    '```',
  ].join('\n');
  expect(fromMarkdown(text)).toEqual([
    '.PP',
    'Some code and a link.',
    '.SH PART',
    '.TP',
    '.B "a"',
    'this | that. Default: 1.',
    '.IP \\(bu 2',
    'one\nmore',
    '.IP \\(bu 2',
    'two',
    '.PP',
    '.nf',
    '\\&.not a request',
    '.fi',
  ]);
});

test.skipIf(!has('groff'))('groff warns of nothing in any page (needs groff)', () => {
  const { stderr } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z'], {
    input: [...pages.values()].join(''),
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
});
