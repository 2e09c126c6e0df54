import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  costTable,
  tableIn,
  withTable,
  type IsolationResult,
} from '../../../bench/isolation/table.ts';

const root = new URL('../../..', import.meta.url).pathname;
const read = (file: string) => readFileSync(join(root, file), 'utf8');

/** Columns are padded in the document so that people can read it. */
const unpadded = (text: string) => text.replaceAll(/ +/g, ' ').replaceAll(/-{3,}/g, '---');

test('the table of costs says what was measured, and nothing else', () => {
  const result = JSON.parse(read('bench/results/isolation.json')) as IsolationResult;
  expect(unpadded(tableIn(read('docs/ISOLATION.md')))).toBe(unpadded(costTable(result)));
});

test('every rung has its samples, one for each round', () => {
  const { rungs, rounds } = JSON.parse(read('bench/results/isolation.json')) as IsolationResult;
  expect(rungs.length).toBeGreaterThan(0);
  for (const { samples } of rungs) expect(samples['taskMs']).toHaveLength(rounds);
});

test('a document without its marks is refused, and what stands around them stays', () => {
  expect(() => withTable('no marks', 'table')).toThrow('no mark');
  const written = withTable(read('docs/ISOLATION.md'), 'NEW');
  expect(tableIn(written)).toBe('NEW');
  expect(written.startsWith('# Isolation')).toBe(true);
  expect(written).toContain('Written by `node bench/isolation.ts`');
});
