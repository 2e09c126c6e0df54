import { expect, test } from 'vitest';
import { inferType } from '../src/index.js';

test.each([
  [['1', '-2.5', '', '3e8'], 'number'],
  [['true', 'false', ''], 'boolean'],
  [['2024-02-29', '1999-12-31'], 'date'],
  [['2023-02-29'], 'text'],
  [['007', '42'], 'text'],
  [['1', 'one'], 'text'],
  [['', ''], 'text'],
  [['Infinity'], 'text'],
])('%j is a column of type %s', (values, type) => {
  expect(inferType(values)).toBe(type);
});
