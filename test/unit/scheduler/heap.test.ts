import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Heap } from '#daemon/scheduler/heap.ts';

test('an empty heap has nothing to give, and what is not there is not removed', () => {
  const heap = new Heap<number>((a, b) => a < b);
  expect(heap.pop()).toBeUndefined();
  expect(heap.peek()).toBeUndefined();
  expect(heap.remove(1)).toBe(false);
});

test('what comes out is in order, whatever went in and was removed in between', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(200), { minLength: 8, maxLength: 60 }),
      fc.array(fc.nat(60)),
      (values, removed) => {
        const heap = new Heap<number>((a, b) => a < b);
        const expected = [...values];
        for (const value of values) heap.push(value);
        for (const at of removed) {
          const value = values[at];
          if (value === undefined) continue;
          const known = expected.indexOf(value);
          expect(heap.remove(value)).toBe(known >= 0);
          if (known >= 0) expected.splice(known, 1);
        }
        expect(heap.size).toBe(expected.length);
        expect(heap.drain()).toEqual(expected.toSorted((a, b) => a - b));
      },
    ),
    { numRuns: 500 },
  );
});
