import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { escapeMarkdown } from '#daemon/runs/markdown.ts';

test('text of strangers cannot become markup, a link, a new row or a new line', () => {
  expect(escapeMarkdown('<img src=x onerror=1>|[a](http://evil) `x`')).toBe(
    '&lt;img src=x onerror=1\\>\\|\\[a\\](http\\://evil) \\`x\\`',
  );
  expect(escapeMarkdown('a\nb\u202Ec\u001b[2J')).toBe('aU+000AbU+202EcU+001B\\[2J');
});

test('ordinary names stay as they are', () => {
  expect(escapeMarkdown('node:20-alpine test:unit npm ci --offline (v1.2)')).toBe(
    'node:20-alpine test:unit npm ci --offline (v1.2)',
  );
});

test('whatever the text, no line break and no bare markup is left', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const escaped = escapeMarkdown(text);
      expect(escaped).not.toMatch(/[\n\r<]/);
      expect(escaped.replaceAll(/\\./g, '')).not.toMatch(/[`*_[\]|~]/);
    }),
  );
});
