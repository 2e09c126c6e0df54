import { expect, test } from 'vitest';
import { CsvError, formatCsv, parseCsv } from '../src/index.js';

test('a quoted field that is never closed is refused at the place where it was opened', () => {
  expect(() => parseCsv('a,b\n1,"two\n3')).toThrow('(line 2, column 3)');
});

test('text after a closing quote is refused', () => {
  expect(() => parseCsv('"a"b\n')).toThrow(CsvError);
});

test('a quote inside a bare field is refused', () => {
  expect(() => parseCsv('a,b"c\n')).toThrow('line 1, column 4');
});

test.each(['', '""', '"', '\n', ',,'])('the delimiter %j is refused', (delimiter) => {
  expect(() => parseCsv('a', { delimiter })).toThrow(RangeError);
});

test.each([
  ['', []],
  ['a,b', [['a', 'b']]],
  ['a,b\n', [['a', 'b']]],
  ['a,\n', [['a', '']]],
  ['a,', [['a', '']]],
  ['\uFEFFa\r\nb\rc', [['a'], ['b'], ['c']]],
  ['"a ""b""","c\nd"\n', [['a "b"', 'c\nd']]],
  ['\n', [['']]],
])('%j is read', (text, rows) => {
  expect(parseCsv(text)).toEqual(rows);
});

test('whatever is written is read back unchanged', () => {
  const alphabet = ['a', '"', ',', '\n', '\r', ' ', ';', '\uFEFF', 'é', ''];
  let seed = 7;
  const next = (n: number) => (seed = (seed * 16807) % 2147483647) % n;
  for (let round = 0; round < 500; round += 1) {
    const rows = Array.from({ length: next(5) }, () =>
      Array.from({ length: 1 + next(4) }, () =>
        Array.from({ length: next(6) }, () => alphabet[next(alphabet.length)]).join(''),
      ),
    );
    const delimiter = round % 2 === 0 ? ',' : ';';
    expect(parseCsv(formatCsv(rows, { delimiter }), { delimiter })).toEqual(rows);
  }
});
