import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Places } from '#daemon/planner/models/places.ts';

const never = new AbortController().signal;

test('who waits too long is told that there were too many, and leaves no gap', async () => {
  const places = new Places(1);
  const first = await places.take(1_000, never);
  await expect(places.take(5, never)).rejects.toMatchObject({ code: 'busy' });
  first[Symbol.dispose]();
  // Given back twice is given back once.
  first[Symbol.dispose]();
  const second = await places.take(1_000, never);
  await expect(places.take(5, never)).rejects.toMatchObject({ code: 'busy' });
  second[Symbol.dispose]();
});

test('who went away before is not let in', async () => {
  await expect(new Places(1).take(5, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
});

test('never more are inside than there is room for, in the order of their coming, and all get in', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.nat(3), { maxLength: 20 }),
      async (room, stays) => {
        const places = new Places(room);
        const order: number[] = [];
        let [inside, most] = [0, 0];
        await Promise.all(
          stays.map(async (stay, i) => {
            using _place = await places.take(10_000, never);
            order.push(i);
            inside += 1;
            most = Math.max(most, inside);
            for (let tick = 0; tick < stay; tick += 1) await Promise.resolve();
            inside -= 1;
          }),
        );
        expect(most).toBeLessThanOrEqual(room);
        expect(order).toEqual(stays.map((_, i) => i));
      },
    ),
  );
});
