import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { commands } from '#cli/commands.ts';
import { manualPages } from '#packaging/deb/man.ts';
import { roffArgument, roffText, verbatim } from '#packaging/deb/roff.ts';

const pages = manualPages(
  { version: '1.2.3', date: '2026-01-02' },
  { orchestrad: "orchestrad: does it\n\n  --flag\n.starts with a dot\n'and a quote\n" },
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

test.skipIf(!has('groff'))('groff warns of nothing in any page (needs groff)', () => {
  const { stderr } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z'], {
    input: [...pages.values()].join(''),
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
});
