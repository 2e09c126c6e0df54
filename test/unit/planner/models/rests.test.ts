import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { troubleWords, type TroubleCode } from '#contract/planning.ts';
import { Rests } from '#daemon/planner/models/rests.ts';
import { ModelTrouble } from '#daemon/planner/models/trouble.ts';

const trouble = (code: TroubleCode, retryAfterMs?: number) =>
  new ModelTrouble(code, code, { retryAfterMs });

test('three failures in a row of what passes are a rest, twice as long each time, ten minutes at most', () => {
  const rests = new Rests();
  const waits: number[] = [];
  let now = 0;
  for (let i = 0; i < 12; i += 1) {
    rests.failed('a', 'k', trouble('overloaded'), now);
    const ms = rests.waitMs('a', 'k', now);
    waits.push(ms / 1000);
    now += ms;
  }
  expect(waits).toEqual([0, 0, 30, 60, 120, 240, 480, 600, 600, 600, 600, 600]);
});

test('what lasts is a rest at once, and over with another key', () => {
  const rests = new Rests();
  rests.failed('a', 'old', trouble('auth'), 0);
  expect(rests.waitMs('a', 'old', 0)).toBe(300_000);
  expect(rests.waitMs('a', 'new', 0)).toBe(0);
  expect(rests.waitMs('b', 'old', 0)).toBe(0);
});

test('a provider is left alone for as long as it asks, an hour at most', () => {
  const rests = new Rests();
  rests.failed('a', 'k', trouble('rate_limit', 45_000), 0);
  expect(rests.waitMs('a', 'k', 0)).toBe(45_000);
  rests.failed('b', 'k', trouble('rate_limit', 86_400_000), 0);
  expect(rests.waitMs('b', 'k', 0)).toBe(3_600_000);
});

test('when a rest is over one tries, and the others go past until it has an answer', () => {
  const rests = new Rests();
  rests.failed('a', 'k', trouble('billing'), 0);
  rests.trying('a', 'k', 300_000, 20_000);
  expect(rests.waitMs('a', 'k', 300_000)).toBe(20_000);
  rests.failed('a', 'k', trouble('invalid'), 301_000);
  expect(rests.waitMs('a', 'k', 301_000)).toBe(0);
});

test('whatever happens, nobody rests for ever, and who worked does not rest', () => {
  const codes = fc.constantFrom(...(Object.keys(troubleWords) as TroubleCode[]));
  const step = fc.record({
    code: codes,
    after: fc.nat(1e12),
    pass: fc.nat(1e6),
    worked: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const rests = new Rests();
      let now = 0;
      for (const { code, after, pass, worked } of steps) {
        now += pass;
        if (worked) rests.worked('a');
        else rests.failed('a', 'k', trouble(code, after), now);
        const ms = rests.waitMs('a', 'k', now);
        if (ms > 3_600_000 || (worked && ms > 0)) return false;
      }
      return true;
    }),
  );
});
