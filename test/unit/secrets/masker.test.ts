import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { buildAutomaton } from '#daemon/secrets/automaton.ts';
import { withoutBreaks } from '#daemon/secrets/core.ts';
import { Masker } from '#daemon/secrets/masker.ts';
import { spellingsOf } from '#daemon/secrets/spellings.ts';

const bytesOf = (text: string) => Buffer.from(text, 'latin1');

/** What comes out, in as many pieces as the sizes say. */
function maskedIn(secrets: readonly Uint8Array[], text: Uint8Array, sizes: readonly number[]) {
  return maskedBy(buildAutomaton(secrets.flatMap(spellingsOf)), text, sizes);
}

function maskedBy(
  automaton: ReturnType<typeof buildAutomaton>,
  text: Uint8Array,
  sizes: readonly number[],
) {
  const masker = new Masker(automaton);
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const size of sizes) {
    parts.push(masker.write(text.subarray(at, at + size)));
    at += size;
  }
  parts.push(masker.write(text.subarray(at)), masker.end());
  return { text: Buffer.concat(parts), count: masker.count };
}

const spellings = (secret: Uint8Array) => spellingsOf(secret).map((one) => Buffer.from(one));
const masked = (secret: string, text: string, sizes: readonly number[] = []) =>
  maskedIn([bytesOf(secret)], bytesOf(text), sizes).text.toString('latin1');

const token = 'npm_7Qz+/aB c"d9&é'.normalize();
const core = Buffer.from(token);
const spelt: [string, Buffer | string][] = [
  ['as it is', core],
  ['base64', core.toString('base64')],
  ['base64 without padding', core.toString('base64').replaceAll('=', '')],
  ['base64url', core.toString('base64url')],
  ['base64 one byte further on', Buffer.concat([bytesOf('x'), core]).toString('base64')],
  ['base64 two bytes further on', Buffer.concat([bytesOf('xy'), core]).toString('base64')],
  [
    'base64 in the middle',
    Buffer.concat([bytesOf('user:'), core, bytesOf('@')]).toString('base64'),
  ],
  ['hex', core.toString('hex')],
  ['upper-case hex', core.toString('hex').toUpperCase()],
  ['a component of an address', encodeURIComponent(token)],
  ['an address', encodeURI(token)],
  ['a form', new URLSearchParams({ a: token }).toString()],
  [
    'lower-case percent',
    encodeURIComponent(token).toLowerCase().replace('7qz', '7Qz').replace('ab', 'aB'),
  ],
  ['percent all over', core.toString('hex').replaceAll(/../g, '%$&')],
  ['JSON', JSON.stringify({ token })],
  ['JSON in JSON', JSON.stringify(JSON.stringify({ token }))],
  ['JSON in ASCII', JSON.stringify(token).replaceAll('é', String.raw`\u00e9`)],
  ['JSON as PHP writes it', JSON.stringify(token).replaceAll('/', String.raw`\/`)],
];

test.each(spelt)('a secret written as %s is masked, however it is cut', (_, spelling) => {
  const text = Buffer.concat([bytesOf('begin '), Buffer.from(spelling), bytesOf(' end')]);
  for (let size = 1; size <= 9; size += 1) {
    const sizes = Array.from({ length: 200 }, () => size);
    const found = maskedIn([core], text, sizes);
    expect(found.text.toString('latin1')).toMatch(/^begin .*\*\*\*.* end$/s);
    expect(found.text.length).toBeLessThan(text.length - 7);
    for (const pattern of spellings(core)) expect(found.text.includes(pattern)).toBe(false);
  }
});

test('what a tool wraps is masked across its line breaks', () => {
  const secret = 'a-rather-long-secret-that-needs-more-than-one-line-of-base64-or-hex';
  const wrapped = bytesOf(`user:${secret}`).toString('base64').replaceAll(/.{20}/g, '$&\r\n');
  expect(masked(secret, `begin\n${wrapped}\nend`)).not.toContain(wrapped.slice(22, 40));
  const xxd = bytesOf(secret).toString('hex').replaceAll(/.{60}/g, '$&\n');
  expect(masked(secret, `begin\n${xxd}\nend`)).toBe('begin\n***\nend');
});

test('the lines of a key are masked one by one', () => {
  const key = `-----BEGIN KEY-----\n${'A1b2'.repeat(16)}\n${'C3d4'.repeat(16)}\n-----END KEY-----\n`;
  const numbered = key.replaceAll(/^(?=.)/gm, '1: ');
  expect(masked(key, numbered)).toBe(
    '1: -----BEGIN KEY-----\n1: ***\n1: ***\n1: -----END KEY-----\n',
  );
  expect(masked(key, `<${key}>`)).toBe('<***\n>');
  expect(masked(key, 'a table\n-----\n-------\n')).toBe('a table\n-----\n-------\n');
});

test('a secret far longer than the table is masked to its end, and no further', () => {
  const long = Array.from({ length: 3000 }, (_, i) => i.toString(36)).join('.');
  expect(masked(long, `<${long}>`, [1000, 3000])).toBe('<***>');
  expect(masked(long, `<${long.slice(0, 5000)}x${long.slice(0, 10)}>`)).toBe('<***x0.1.2.3.4.>');
  const wrapped = long.replaceAll(/.{76}/g, '$&\n');
  expect(
    masked(
      long,
      `<${wrapped}>`,
      Array.from({ length: 200 }, () => 77),
    ),
  ).toBe('<***>');
});

test('white space around a value is not part of it', () => {
  expect(masked('\n secret-token-1\n\n', 'secret-token-1 and secret-token-1\n')).toBe(
    '*** and ***\n',
  );
});

test('secrets that overlap leave one mark, secrets side by side one each', () => {
  const secrets = [bytesOf('abcdefghij'), bytesOf('ghijklmnop')];
  const out = (text: string, sizes: number[] = []) =>
    maskedIn(secrets, bytesOf(text), sizes).text.toString();
  expect(out('<abcdefghijklmnop>')).toBe('<***>');
  expect(out('<abcdefghijklmnop>', [9, 3])).toBe('<***>');
  expect(out('<abcdefghijghijklmnop>')).toBe('<******>');
  expect(out('<ghijklmnopabcdefghij>', [11])).toBe('<******>');
});

test('a stream that ends within a secret does not show what was written of it', () => {
  expect(masked('a-secret-of-20-bytes', 'key a-secret-of-20-byte')).toBe('key ***');
  expect(masked('a-secret-of-20-bytes', 'key a-secret')).toBe('key ***');
  expect(masked('12345678', 'key 1234')).toBe('key ***');
  expect(masked('a-secret-of-20-bytes', 'key a-')).toBe('key a-');
});

test('a line is shown at once though its end could begin a secret', () => {
  const masker = new Masker(buildAutomaton(spellingsOf(bytesOf('secret-1234'))));
  expect(masker.write(bytesOf('the words\n')).toString()).toBe('the words\n');
  expect(masker.write(bytesOf('ecret-1234\n')).toString()).toBe('***\n');
  expect(masker.write(bytesOf('a beginning: secret\n')).toString()).toBe('a beginning: ');
  expect(masker.write(bytesOf('s of others')).toString()).toBe('secret\ns of other');
});

const value = fc.uint8Array({ minLength: 8, maxLength: 40 });
const anything = fc.uint8Array({ maxLength: 60 });
const cuts = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 40 });
const plainOf = (bytes: Uint8Array) => Buffer.from(withoutBreaks(bytes));

test('whatever the secret, what surrounds it and how it is cut, no spelling of it comes out', () => {
  fc.assert(
    fc.property(
      value,
      fc.nat(),
      fc.array(anything, { maxLength: 4 }),
      cuts,
      (secret, n, around, sizes) => {
        const all = spellings(secret);
        // Too little is left of it, or the mark itself could complete it.
        if (all.length === 0 || all.some((one) => one.includes(0x2a))) return;
        const spelling = all[n % all.length] ?? secret;
        const text = Buffer.concat(around.flatMap((part) => [part, spelling]));
        const out = plainOf(maskedIn([secret], text, sizes).text);
        for (const one of all) expect(out.includes(one)).toBe(false);
      },
    ),
    { numRuns: 1000 },
  );
});

test('what holds no spelling passes unchanged, whatever the cuts', () => {
  const small = fc.array(fc.constantFrom(...bytesOf('abc\n\r.')), { maxLength: 80 });
  const secrets = ['abcabcab', 'aaaaaaaab', 'abaabaaab'].map((secret) => ({
    all: spellings(bytesOf(secret)),
    automaton: buildAutomaton(spellingsOf(bytesOf(secret))),
  }));
  fc.assert(
    fc.property(fc.constantFrom(...secrets), small, cuts, ({ all, automaton }, list, sizes) => {
      const text = Buffer.from(list);
      const plain = plainOf(text);
      const ends = [4, 5, 6, 7, 8].some((n) =>
        all.some((one) => plain.subarray(-n).equals(one.subarray(0, n))),
      );
      if (ends || all.some((one) => plain.includes(one))) return;
      expect(maskedBy(automaton, text, sizes).text.equals(text)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});

test('where it is cut changes nothing', () => {
  const small = fc.array(fc.constantFrom('abc', 'abcabcab', 'cab', '.', 'xyzxyzxyz', 'zx'), {
    maxLength: 30,
  });
  const secrets = [bytesOf('abcabcabcab'), bytesOf('bcabcabxyz'), bytesOf('xyzxyzxyzx')];
  const automaton = buildAutomaton(secrets.flatMap(spellingsOf));
  fc.assert(
    fc.property(small, cuts, (words, sizes) => {
      const text = bytesOf(words.join(''));
      const whole = maskedBy(automaton, text, []);
      const found = maskedBy(automaton, text, sizes);
      expect(found.count).toBe(whole.count);
      expect(found.text.equals(whole.text)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});
