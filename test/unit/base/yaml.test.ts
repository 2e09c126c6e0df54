import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { OrchestraError } from '#contract/errors.ts';
import { nearest } from '#daemon/base/schema-issues.ts';
import { readPlainJson } from '#daemon/base/plain-json.ts';
import { parseYaml, readYaml } from '#daemon/base/yaml.ts';

const schema = z.strictObject({
  network: z.enum(['none', 'loopback']),
  limits: z.strictObject({ memory: z.number(), cpus: z.number().optional() }),
  names: z.array(z.string()).default([]),
  env: z.record(z.string().regex(/^[A-Z]+$/, 'not a name'), z.string()).default({}),
});

function refusal(text: string, maxBytes = 10_000_000): OrchestraError {
  try {
    parseYaml(text, { file: 'p.yaml', schema, code: 'config.invalid', maxBytes });
  } catch (error) {
    if (error instanceof OrchestraError) return error;
    throw error;
  }
  throw new Error('accepted');
}
const places = (text: string) =>
  refusal(text).places.map(
    ({ line, column, message, hint }) =>
      `${line}:${column} ${message}${hint === undefined ? '' : ` (${hint})`}`,
  );

test('an unknown key is told with its place and the key that was meant', () => {
  expect(places('netwrok: none\nnetwork: none\nlimits:\n  memory: 1\n  cpsu: 2\n')).toEqual([
    '1:1 unknown key "netwrok" (did you mean network?)',
    '5:3 unknown key "cpsu" (did you mean cpus?)',
  ]);
});

test('wrong values, missing keys and wrong names are told where they stand', () => {
  expect(places('network: nnoe\nlimits: {}\nnames: [a, 7]\nenv: {a-b: x}\n')).toEqual([
    '1:10 must be none or loopback (did you mean none?)',
    '2:9 missing key memory',
    '3:12 expected text, found 7',
    '4:7 key "a-b": not a name',
  ]);
});

test.each([
  ['a key twice', 'network: none\nnetwork: none\n', 'twice'],
  ['an alias', 'names: &a [x]\nenv: *a\n', 'anchors, aliases and tags'],
  ['a tag', 'network: !!js/function x\n', 'anchors, aliases and tags'],
  ['__proto__', '__proto__: {network: none}\n', '__proto__'],
  ['a key that is not text', '1: x\n', 'a key must be text'],
  ['two documents', 'network: none\n---\nnetwork: none\n', 'document'],
  ['broken text', 'network: [\n', 'flow sequence'],
  ['nothing', '', 'found nothing'],
])('%s is refused', (_, text, word) => {
  expect(places(text).join('\n')).toContain(word);
});

test.each([
  ['brackets', '['.repeat(100_000)],
  ['braces', '{a: '.repeat(100_000)],
  ['dashes', '- '.repeat(100_000)],
  ['question marks', '? '.repeat(100_000)],
  ['keys in braces', `{${'a: '.repeat(100_000)}}`],
  ['keys in braces line by line', `{${'a:\n'.repeat(100_000)}`],
  ['steps', Array.from({ length: 1500 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
  ['closed brackets', '['.repeat(1000) + ']'.repeat(1000)],
])('%s nested without end are refused without exhausting the stack', (_, text) => {
  expect(places(text).join()).toContain('nested deeper');
});

test('a document on one line is as deep as it looks, however many keys it has', () => {
  const env = Object.fromEntries(Array.from({ length: 26 }, (_, i) => ['A'.repeat(i + 1), 'x']));
  const value = { network: 'none', limits: { memory: 1 }, names: Array(50).fill('x'), env };
  const text = JSON.stringify({ ...value, env: { ...env, B: 'x', C: 'x', D: 'x', E: 'x' } });
  const options = { file: 'p.yaml', schema, code: 'config.invalid', maxBytes: 10_000 } as const;
  expect(Object.keys(parseYaml(text, options).env)).toHaveLength(30);
});

test('a text above its size is refused before it is read', () => {
  expect(refusal('network: none', 5).places[0]?.message).toContain('larger than');
});

test('a thousand mistakes make fifty places', () => {
  const text = Array.from({ length: 1000 }, (_, i) => `k${i}: 1`).join('\n');
  expect(refusal(text).places.length).toBe(50);
});

test('any text is either accepted or refused with an error of ours', () => {
  const words = fc.constantFrom(
    'network',
    ': ',
    '\n',
    '  ',
    '- ',
    '{',
    '}',
    '[',
    ']',
    '"',
    "'",
    '&a',
    '*a',
    '|',
    '>',
    '#',
    '\t',
    '%',
    '\u0000',
    '\ud800',
    'none',
    ',',
    '?',
    '!',
    '---',
    '...',
  );
  fc.assert(
    fc.property(fc.array(words, { maxLength: 40 }), (parts) => {
      expect(refusal(parts.join(''))).toBeInstanceOf(OrchestraError);
    }),
    { numRuns: 500 },
  );
});

test('a word far from all others is near to none', () => {
  expect(nearest('zzzzzz', ['network', 'limits'])).toBeUndefined();
  expect(nearest('liimts', ['network', 'limits'])).toBe('limits');
  expect(nearest('x'.repeat(100_000), ['x'])).toBeUndefined();
});

test.each([
  ['a key twice', '{"network":"none","network":"none","limits":{"memory":1}}', 'twice'],
  ['__proto__', '{"__proto__":{},"network":"none","limits":{"memory":1}}', '__proto__'],
  ['a wrong value', '{"network":"nnoe","limits":{"memory":1}}', '1:12'],
  ['deep nesting', `{"network":${'['.repeat(40)}${']'.repeat(40)}}`, 'deeper'],
])('%s is refused in JSON as well, with its place', (_, text, word) => {
  expect(places(text).join('\n')).toContain(word);
});

test('brackets in the strings of JSON neither hide its depth nor count', () => {
  const deep = `{"a":"${']'.repeat(50)}","b":${'['.repeat(40)}${']'.repeat(40)}}`;
  expect(readPlainJson(deep, 32)).toBeUndefined();
  expect(readPlainJson('{"a":"\\"[[[[","b":[[1]]}', 3)).toEqual({ a: '"[[[[', b: [[1]] });
});

test('JSON that is read as such has a place for every value', () => {
  const document = { network: 'none', limits: { memory: 1 }, names: ['a', 'b'] };
  const options = { file: 'p.json', schema, code: 'config.invalid', maxBytes: 10_000 } as const;
  for (const indent of [undefined, 2]) {
    const text = JSON.stringify(document, undefined, indent);
    const { value, locate } = readYaml(text, options);
    expect(value).toEqual({ ...document, env: {} });
    const { line, column } = locate(['names', 1]);
    expect(text.split('\n')[line - 1]?.slice(column - 1)).toMatch(/^"b"/);
  }
});

test('what is read as JSON is what a reader of YAML would read', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.boolean(), (value, isIndented) => {
      const text = JSON.stringify(value, undefined, isIndented ? 2 : undefined);
      const read = readPlainJson(text, 32);
      fc.pre(read !== undefined);
      expect(read).toEqual(parseDocument(text, { uniqueKeys: false }).toJS());
    }),
  );
});
