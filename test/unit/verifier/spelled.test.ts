import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isSpelledShortest } from '#verifier/spelled.ts';

const leaf = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.boolean(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(0, 9, 10, 99, 100, -100, 999, 1000, 2 ** 53 - 1, 1 - 2 ** 53),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', maxDepth: 4 },
    leaf,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9_]{0,4}$/), tie('value'), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  ),
}));

test('no other spelling of a value is taken for its shortest', () => {
  const changes: ((text: string) => string)[] = [
    (text) => text.replace(/\d+/, (n) => Number(n).toExponential().replace('+', '')),
    (text) => text.replace(/(\d)00(?!\d)/, '$1e2'),
    (text) => text.replace(/(\d)0(?!\d)/, '$1e1'),
    (text) => text.replace(/\d+/, '$&.0'),
    (text) => text.replace(':', ': '),
    (text) => text.replace(/\{("[a-z]+":)(\d+),/, '{$1$2,$1$2,'),
    (text) => text.replace(/[a-z]/, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`),
  ];
  fc.assert(
    fc.property(value, fc.array(fc.constantFrom(...changes), { maxLength: 3 }), (one, edits) => {
      const text = edits.reduce((now, edit) => edit(now), JSON.stringify(one));
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch {
        return;
      }
      if (isSpelledShortest(parsed, text)) expect(JSON.stringify(parsed)).toBe(text);
    }),
    { numRuns: 20_000 },
  );
});

test('an ordinary record is told by its length alone', () => {
  const record = {
    actor: { kind: 'daemon' },
    list: [],
    none: {},
    seq: 8191,
    some: [1, -22],
    ts: 'é😀',
    v: true,
  };
  expect(isSpelledShortest(record, JSON.stringify(record))).toBe(true);
  expect(
    isSpelledShortest(
      [9007199254740991, -9007199254740991, 10, 0],
      '[9007199254740991,-9007199254740991,10,0]',
    ),
  ).toBe(true);
  for (let n = 10; n < 2 ** 53; n *= 10) {
    for (const one of [n - 1, n + 1]) expect(isSpelledShortest(one, `${one}`)).toBe(true);
    expect(isSpelledShortest([n - 1], `[ ${n - 1}]`)).toBe(false);
  }
  expect(isSpelledShortest([100], '[1e2]')).toBe(false);
  expect(isSpelledShortest(['a'], '["\\u0061"]')).toBe(false);
});
