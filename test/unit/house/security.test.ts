import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const root = new URL('../../..', import.meta.url).pathname;

/** Rows of the table: what is promised, the file of its test and the test's exact name. */
function promises(document: string): { promise: string; file: string; name: string }[] {
  const rows = document.matchAll(/^\| (.+?) +\| `(test\/[\w/.-]+)` +\| (.+?) +\|$/gm);
  return Array.from(rows, ([, promise = '', file = '', name = '']) => ({ promise, file, name }));
}

/** Names of the tests that a file really has: those that are switched off are not among them. */
function testsIn(file: string): Set<string> {
  const path = join(root, file);
  if (!existsSync(path)) return new Set();
  const text = readFileSync(path, 'utf8');
  // `test(` and, where a table of cases or a condition comes first, `)(`.
  const found = text.matchAll(/(?:\btest|\))\(\s*'((?:[^'\\\n]|\\.)+)',/g);
  return new Set(Array.from(found, ([, name = '']) => name));
}

const document = readFileSync(join(root, 'docs/SECURITY.md'), 'utf8');
const rows = promises(document.slice(document.indexOf('## What is promised')));

test('every promise names a test that is there', () => {
  const tests = new Map(rows.map(({ file }) => [file, testsIn(file)]));
  const missing = rows.filter(({ file, name }) => tests.get(file)?.has(name) !== true);
  expect(missing).toEqual([]);
  expect(rows.length).toBeGreaterThan(50);
});

test('no row of the table is overlooked, and no promise is made twice', () => {
  const table = document.slice(document.indexOf('| defence'));
  const lines = table.split('\n').filter((line) => line.startsWith('|'));
  expect(rows).toHaveLength(lines.length - 2);
  expect(new Set(rows.map(({ promise }) => promise)).size).toBe(rows.length);
});

test('every attack that is tried from inside a sandbox is a promise', () => {
  const file = 'test/hostile/escape.test.ts';
  const named = rows.filter((row) => row.file === file).map(({ name }) => name);
  expect(named.toSorted()).toEqual([...testsIn(file)].toSorted());
});
