import canonicalize from 'canonicalize';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalJson, digestOf } from '#daemon/base/canonical.ts';

test.each([
  ['NaN', NaN],
  ['infinity', { a: Infinity }],
  ['a bigint', 1n],
  ['a lone surrogate', ['\ud800']],
  ['a lone surrogate in a key', { '\udc00': 1 }],
  ['a date', new Date(0)],
  ['a map', new Map()],
  ['a function', () => 1],
  ['undefined alone', undefined],
  // oxlint-disable-next-line no-sparse-arrays
  ['a hole', [1, , 2]],
])('%s is refused instead of approximated', (_name, value) => {
  expect(() => canonicalJson(value)).toThrow(TypeError);
});

test('a cycle and endless nesting are refused', () => {
  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  expect(() => canonicalJson(cycle)).toThrow(/deeper/);
});

test('the vectors of RFC 8785 come out as printed there', () => {
  expect(
    canonicalJson({
      numbers: [333333333.3333333, 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"\u002f',
      literals: [null, true, false],
    }),
  ).toBe(
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],' +
      '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  );
  const keys = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, ö: 7 };
  expect(canonicalJson(keys)).toBe(
    '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"\ud83d\ude00":5,"\ufb33":3}',
  );
});

test('every JSON value is spelled as the reference implementation spells it', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      expect(canonicalJson(value)).toBe(canonicalize(value));
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test('order of keys and absent values do not change the digest, a hostile key does not vanish', () => {
  expect(digestOf({ b: 1, a: undefined, c: [2] })).toBe(digestOf({ c: [2], b: 1 }));
  expect(digestOf(JSON.parse('{"__proto__":{"x":1}}'))).not.toBe(digestOf({}));
  expect(digestOf({})).toMatch(/^sha256:[0-9a-f]{64}$/);
});
