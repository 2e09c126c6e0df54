import fc from 'fast-check';
import { expect, test } from 'vitest';
import { familyOf, isVague } from '#daemon/planner/learning/family.ts';

test.each([
  ['npm', ['test'], 'npm test'],
  ['npm', ['run', 'build', '--silent'], 'npm run build --silent'],
  ['exec', ['/usr/bin/make', 'all'], 'make all'],
  ['node', ['dist/build.js'], 'node <path>'],
  ['node', ['build.js', '--out=/tmp/x'], 'node build.js --out'],
  ['npm', ['install', 'left-pad@1.3.0'], 'npm install left-pad@<version>'],
  ['git', ['show', 'd3adb33f00'], 'git show <hash>'],
  ['sleep', ['30'], 'sleep <number>'],
  ['exec', ['sh', '-c', 'echo "my secret words"'], 'sh -c <text>'],
])('%s %j is of the family %s', (tool, args, family) => {
  expect(familyOf({ tool, args })).toBe(family);
});

test('what changes from day to day changes no family', () => {
  const of = (version: string) => familyOf({ tool: 'npm', args: ['install', `left@${version}`] });
  expect(of('1.2.3')).toBe(of('^4.5.6-rc.1'));
});

test('a family is short, of one line, and has none of the words of a person in it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'binary', maxLength: 60 }), { maxLength: 8 }),
      (args) => {
        const family = familyOf({ tool: 'exec', args });
        expect(family.length).toBeLessThanOrEqual(160);
        expect(family).toMatch(/^[\w@:+.,<> -]*$/);
      },
    ),
  );
  expect(isVague(familyOf({ tool: 'sh', args: ['-c', 'anything goes'] }))).toBe(true);
});
