import { expect, test } from 'vitest';
import { Table, toMarkdown } from '../src/index.js';

const cities = Table.fromCsv(`name,country,people,since
Lyon,FR,522250,-43
Paris,FR,2102650,
Bonn,DE,331885,-12
Ghost|town,DE,,
`);

test('a row with too few cells is refused by its number', () => {
  expect(() => Table.fromCsv('a,b\n1,2\n3\n')).toThrow('row 2 has 1 cells instead of 2');
});

test('a column that does not exist is refused by its name', () => {
  expect(() => cities.sortBy('mayor')).toThrow('no column "mayor"');
});

test('two columns of one name are refused', () => {
  expect(() => Table.fromCsv('a,a\n')).toThrow('same name');
});

test('empty cells sort last in both directions', () => {
  const names = (direction: 'up' | 'down') =>
    cities.sortBy('people', direction).select('name').rows.flat();
  expect(names('up')).toEqual(['Bonn', 'Lyon', 'Paris', 'Ghost|town']);
  expect(names('down')).toEqual(['Paris', 'Lyon', 'Bonn', 'Ghost|town']);
});

test('operations leave the table as it was', () => {
  const before = JSON.stringify(cities.rows);
  cities.sortBy('people');
  cities.where('country', (c) => c === 'FR');
  expect(JSON.stringify(cities.rows)).toBe(before);
});

test.each([
  [
    'count',
    [
      ['FR', 2],
      ['DE', 1],
    ],
  ],
  [
    'sum',
    [
      ['FR', 2624900],
      ['DE', 331885],
    ],
  ],
  [
    'mean',
    [
      ['FR', 1312450],
      ['DE', 331885],
    ],
  ],
  [
    'max',
    [
      ['FR', 2102650],
      ['DE', 331885],
    ],
  ],
] as const)('groups by country, %s of people', (aggregate, rows) => {
  expect(cities.groupBy('country', 'people', aggregate).rows).toEqual(rows);
});

test('the minimum of nothing is empty', () => {
  const ghosts = cities.where('people', (c) => c === null);
  expect(ghosts.groupBy('country', 'people', 'min').rows).toEqual([['DE', null]]);
});

test('numbers are right-aligned and pipes escaped in markdown', () => {
  expect(toMarkdown(cities.where('country', (c) => c === 'DE').select('name', 'people'))).toBe(
    [
      '| name        | people |',
      '| ----------- | -----: |',
      '| Bonn        | 331885 |',
      '| Ghost\\|town |        |',
      '',
    ].join('\n'),
  );
});
