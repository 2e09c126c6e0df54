import { expect, test } from 'vitest';
import { Guesses } from '#daemon/access/tokens-guesses.ts';

const fail = (guesses: Guesses, address: string, times: number, now: number) => {
  for (let i = 0; i < times; i += 1) guesses.failed(address, now);
};

test('who tries ten tokens that do not hold has to wait, longer each time, a minute at most', () => {
  const guesses = new Guesses();
  fail(guesses, '10.0.0.1', 9, 0);
  expect(guesses.waitMs('10.0.0.1', undefined, 0)).toBe(0);
  const waits = Array.from({ length: 10 }, () => {
    guesses.failed('10.0.0.1', 0);
    return guesses.waitMs('10.0.0.1', undefined, 0) / 1000;
  });
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
  expect(guesses.waitMs('10.0.0.1', undefined, 60_000)).toBe(0);
});

test('others are not held up by it, and what came in before goes on coming in', () => {
  const guesses = new Guesses();
  guesses.succeeded('10.0.0.1', 't-1', 0);
  fail(guesses, '10.0.0.1', 20, 0);
  expect(guesses.waitMs('10.0.0.1', 't-1', 0)).toBe(0);
  expect(guesses.waitMs('10.0.0.1', 't-2', 0)).toBeGreaterThan(0);
  expect(guesses.waitMs('10.0.0.2', undefined, 0)).toBe(0);
});

test.each([
  ['2001:db8:0:1::1', '2001:db8:0:1:ffff:ffff:ffff:ffff', true],
  ['2001:db8:0:1::1', '2001:db8::1:0:0:0:2', true],
  ['2001:db8:0:1::1', '2001:db8:0:2::1', false],
  ['fe80::1%eth0', 'fe80::2%eth0', true],
  ['::1', '::2', true],
])(
  '%s and %s are one guesser: %s, as a network of theirs has 2^64 addresses',
  (one, other, same) => {
    const guesses = new Guesses();
    fail(guesses, one, 20, 0);
    expect(guesses.waitMs(other, undefined, 0) > 0).toBe(same);
  },
);

test('after ten quiet minutes the count begins anew', () => {
  const guesses = new Guesses();
  fail(guesses, '10.0.0.1', 9, 0);
  guesses.failed('10.0.0.1', 11 * 60_000);
  expect(guesses.waitMs('10.0.0.1', undefined, 11 * 60_000)).toBe(0);
});

test('whoever comes from ever new addresses takes no more memory than ten thousand of them', () => {
  const guesses = new Guesses();
  fail(guesses, '10.0.0.1', 20, 0);
  for (let i = 0; i < 10_000; i += 1)
    guesses.failed(`11.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 0);
  expect(guesses.waitMs('10.0.0.1', undefined, 0)).toBe(0);
});
