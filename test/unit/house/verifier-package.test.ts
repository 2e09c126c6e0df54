import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const folder = new URL('../../../verifier', import.meta.url).pathname;

test('the verifier has no dependencies, and nothing in it leads out of its folder', () => {
  const said = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as object;
  expect(Object.keys(said).filter((key) => /dependencies/i.test(key))).toEqual([]);
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => [name, readFileSync(join(folder, name), 'utf8')] as const);
  const leaving = files.flatMap(([name, text]) =>
    Array.from(
      text.matchAll(/(?:\bfrom |\bimport |\bimport\()'([^'\s]+)'/g),
      ([, target = '']) => target,
    )
      .filter((target) => {
        const up = target.split('/').filter((part) => part === '..').length;
        return (
          !target.startsWith('node:') &&
          (!target.startsWith('.') || up > name.split('/').length - 1)
        );
      })
      .map((target) => `${name} imports ${target}`),
  );
  expect(leaving).toEqual([]);
  expect(files.length).toBeGreaterThan(20);
});

test('the second implementation needs the standard library of Python and nothing else', () => {
  const text = readFileSync(join(folder, 'python/orchestra_verify.py'), 'utf8');
  const imported = Array.from(
    text.matchAll(/^\s*(?:import|from) (.+)$/gm),
    ([, names = '']) => names,
  );
  expect(imported.join(', ').split(', ').toSorted()).toEqual(
    ['argparse', 'base64', 'hashlib', 'json', 'os', 're', 'stat', 'sys'].toSorted(),
  );
});
