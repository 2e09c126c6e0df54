import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { unifiedDiff } from '#cli/terminal/unified-diff.ts';

const text = fc
  .array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 30 })
  .map((lines) => lines.join('\n'));

/** One side of a diff with unlimited context. */
function side(diff: readonly string[], sign: '-' | '+'): string {
  const out: string[] = [];
  for (const [at, line] of diff.entries()) {
    if (line.startsWith('@@') || line.startsWith('\\')) continue;
    if (line[0] !== ' ' && line[0] !== sign) continue;
    out.push(`${line.slice(1)}${diff[at + 1]?.startsWith('\\') === true ? '' : '\n'}`);
  }
  return out.join('');
}

test('both texts can be read back from their diff', () => {
  fc.assert(
    fc.property(text, text, (before, after) => {
      const diff = unifiedDiff(before, after, 1000);
      if (before === after) expect(diff).toEqual([]);
      else expect([side(diff, '-'), side(diff, '+')]).toEqual([before, after]);
    }),
  );
});

test('only what changed is shown, with three lines around it', () => {
  const lines = Array.from({ length: 20 }, (_, at) => `line ${at}\n`);
  const diff = unifiedDiff(lines.join(''), lines.with(10, 'new\n').join(''));
  expect(diff[0]).toBe('@@ -8,7 +8,7 @@');
  expect(diff.filter((line) => /^[-+]/.test(line))).toEqual(['-line 10', '+new']);
});

test('texts without anything in common cost no quadratic effort', () => {
  const many = (word: string) =>
    Array.from({ length: 20_000 }, (_, at) => `${word}${at}\n`).join('');
  expect(unifiedDiff(many('a'), many('b'))).toHaveLength(40_001);
});
