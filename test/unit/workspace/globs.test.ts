import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesOfText } from '#contract/path-bytes.ts';
import { Globs } from '#daemon/workspace/globs.ts';
import { partOf } from '#daemon/workspace/subset.ts';
import type { TreeEntry } from '#contract/snapshot.ts';

const takes = (globs: string[], path: string, isDirectory = false) =>
  new Globs(globs, 1_000_000).takes(bytesOfText(path), isDirectory);

test.each<[string, string, boolean]>([
  ['package.json', 'package.json', true],
  ['package.json', 'app/package.json', false],
  ['**/package.json', 'package.json', true],
  ['**/package.json', 'a/b/package.json', true],
  ['src', 'src/a/b.ts', true],
  ['src/', 'src/a/b.ts', true],
  ['src/', 'src', false],
  ['src/**', 'src/a/b.ts', true],
  ['src/**', 'srcx/a', false],
  ['src/**/x.ts', 'src/x.ts', true],
  ['src/**/x.ts', 'src/a/b/x.ts', true],
  ['src/**/x.ts', 'src/a/y.ts', false],
  ['*.ts', 'a.ts', true],
  ['*.ts', 'src/a.ts', false],
  ['*', '.env', true],
  ['a*b*c', 'axxbxxbc', true],
  ['a*b*c', 'axxbxx', false],
  ['?.txt', 'ü.txt', true],
  ['?.txt', 'ab.txt', false],
  ['app/[id].tsx', 'app/[id].tsx', true],
  ['app/[id].tsx', 'app/i.tsx', false],
  ['.', 'a', false],
  ['a+(b)', 'a+(b)', true],
  ['__proto__', '__proto__', true],
])('%s and %s: %s', (glob, path, expected) => {
  expect(takes([glob], path)).toBe(expected);
});

test('the last glob that speaks of a path counts, also of a directory above it', () => {
  const globs = ['src', '!src/gen', 'src/gen/keep.ts'];
  expect(takes(globs, 'src/a.ts')).toBe(true);
  expect(takes(globs, 'src/gen/a.ts')).toBe(false);
  expect(takes(globs, 'src/gen/keep.ts')).toBe(true);
  expect(takes(['!src', 'src'], 'src/a.ts')).toBe(true);
  expect(takes(['src', '!src'], 'src/a.ts')).toBe(false);
});

test('a name that is not UTF-8 is matched by its bytes', () => {
  expect(takes(['src/*.bin'], `/b64/${btoa('src/\xff.bin')}`)).toBe(true);
});

test('globs made to take for ever are given up, and nothing they said counts', () => {
  const glob = `${'*a'.repeat(120)}b`;
  const entries: TreeEntry[] = Array.from({ length: 2000 }, (_, i) => ({
    type: 'symlink' as const,
    path: `${'a'.repeat(250)}${i}`,
    target: 'x',
  }));
  expect(partOf(entries, { inputs: [glob], cwd: '.' }, 1_000_000)).toBeUndefined();
});

test('the work grows with the product of the lengths, not with a power of them', () => {
  const globs = new Globs([`${'*a'.repeat(120)}b`], 255 * 255);
  expect(globs.takes('a'.repeat(255), false)).toBe(false);
  expect(globs.isSpent).toBe(false);
});

// What the words of the documentation say, written once more in the slowest way.
function slowly(globs: readonly string[], path: string): boolean {
  const parts = path.split('/');
  const fits = (glob: readonly string[], at: readonly string[]): boolean => {
    const [part, ...rest] = glob;
    if (part === undefined) return at.length === 0;
    if (part === '**') {
      const least = rest.length === 0 ? 1 : 0;
      return (
        at.some((_, i) => i >= least && fits(rest, at.slice(i))) ||
        (at.length >= least && fits(rest, []))
      );
    }
    const [name, ...others] = at;
    if (name === undefined) return false;
    const pattern = part.replaceAll('*', '.*').replaceAll('?', '.');
    return new RegExp(`^${pattern}$`).test(name) && fits(rest, others);
  };
  let taken = false;
  for (const glob of globs) {
    const isAway = glob.startsWith('!');
    const words = glob.replace('!', '').split('/');
    if (parts.some((_, i) => fits(words, parts.slice(0, i + 1)))) taken = !isAway;
  }
  return taken;
}

test('it takes what the slowest reading of the rules takes', () => {
  const part = fc.constantFrom('a', 'b', 'ab', '*', '**', '?', 'a*', '*b');
  const glob = fc
    .tuple(fc.boolean(), fc.array(part, { minLength: 1, maxLength: 4 }))
    .map(([away, parts]) => `${away ? '!' : ''}${parts.join('/')}`);
  const path = fc
    .array(fc.constantFrom('a', 'b', 'ab', 'aab', 'c'), { minLength: 1, maxLength: 4 })
    .map((parts) => parts.join('/'));
  fc.assert(
    fc.property(fc.array(glob, { minLength: 1, maxLength: 4 }), path, (globs, at) => {
      expect(takes(globs, at)).toBe(slowly(globs, at));
    }),
    { numRuns: 1000 },
  );
});
