import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { lineMax } from '#cli/terminal/clean.ts';
import { Tail } from '#cli/terminal/tail.ts';

async function linesOf(max: number | undefined, pieces: Iterable<string>): Promise<string[]> {
  const lines: string[] = [];
  const tail = new Tail(max, (line) => {
    lines.push(line);
    return Promise.resolve();
  });
  for (const piece of pieces) await tail.push(piece);
  await tail.end();
  return lines;
}

test('a line without an end is broken and nothing of it is lost or held', async () => {
  let longest = 0;
  let total = 0;
  const tail = new Tail(undefined, (line) => {
    longest = Math.max(longest, line.length);
    total += line.length;
    return Promise.resolve();
  });
  for (let n = 0; n < 300; n += 1) await tail.push('x'.repeat(10_000));
  // What is not written yet fits one line.
  expect(3_000_000 - total).toBeLessThanOrEqual(lineMax);
  await tail.end();
  expect([total, longest]).toEqual([3_000_000, lineMax]);
});

test('a million long lines cannot be asked into memory: the oldest go', async () => {
  const lines = await linesOf(
    1_000_000,
    (function* () {
      for (let n = 0; n < 2500; n += 1) yield `${'y'.repeat(60_000)}${n}\n`;
    })(),
  );
  expect(lines.at(-1)).toMatch(/y2499$/);
  expect(lines.length).toBeGreaterThan(100);
  expect(lines.length).toBeLessThan(2500);
});

test('however text arrives, its lines are the same, and its last ones the last', async () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '\n', ' '), maxLength: 60 });
  const cuts = fc.array(fc.nat(60), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(text, cuts, fc.nat(6), async (all, at, max) => {
      const places = [0, ...at.toSorted((a, b) => a - b), all.length];
      const pieces = places.slice(1).map((to, i) => all.slice(places[i], to));
      const want = all.split('\n');
      if (want.at(-1) === '') want.pop();
      expect(
        await linesOf(
          undefined,
          pieces.filter((_, i) => i < places.length),
        ),
      ).toEqual(await linesOf(undefined, [all]));
      expect(await linesOf(undefined, [all])).toEqual(want);
      expect(await linesOf(max, [all])).toEqual(max === 0 ? [] : want.slice(-max));
    }),
    { numRuns: 50 },
  );
});
