import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Flights } from '#daemon/runs/cache/flights.ts';
import { someDigest } from '#test/support/records.ts';

const action = someDigest('a');
const never = () => new AbortController().signal;
const settled = () => new Promise((resolve) => setImmediate(resolve));

test('who is stopped while it waits leaves the line, and the line goes on', async () => {
  const flights = new Flights();
  const first = await flights.enter(action, never());
  const controller = new AbortController();
  const second = flights.enter(action, controller.signal);
  const third = flights.enter(action, never());
  controller.abort(new Error('stopped'));
  await expect(second).rejects.toThrow('stopped');
  first.release();
  (await third).release();
  expect(flights.size).toBe(0);
  await expect(flights.enter(action, AbortSignal.abort(new Error('late')))).rejects.toThrow('late');
  expect(flights.size).toBe(0);
});

test('who is stopped in the moment of its turn gives the turn on', async () => {
  const flights = new Flights();
  const first = await flights.enter(action, never());
  const controller = new AbortController();
  const second = flights.enter(action, controller.signal);
  first.release();
  controller.abort(new Error('stopped'));
  (await second).release();
  expect(flights.size).toBe(0);
});

test('releasing twice lets one in, not two', async () => {
  const flights = new Flights();
  const first = await flights.enter(action, never());
  let inside = 0;
  const next = [1, 2].map(async () => {
    const flight = await flights.enter(action, never());
    inside += 1;
    return flight;
  });
  first.release();
  first.release();
  first[Symbol.dispose]();
  await settled();
  expect(inside).toBe(1);
  (await next[0])?.release();
  (await next[1])?.release();
});

test('different actions do not wait for each other', async () => {
  const flights = new Flights();
  using _one = await flights.enter(action, never());
  using _other = await flights.enter(someDigest('b'), never());
  expect(flights.size).toBe(2);
});

test('where a thousand wait already nobody waits longer', async () => {
  const flights = new Flights();
  const first = await flights.enter(action, never());
  const waiting = Array.from({ length: 1000 }, () => flights.enter(action, never()));
  const late = await flights.enter(action, never());
  late.release();
  await settled();
  first.release();
  for (const one of waiting) (await one).release();
  expect(flights.size).toBe(0);
});

test('of equal actions one runs at a time, whoever stops, and the rest find what it left', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.array(fc.constantFrom('succeeds', 'fails', 'stopped'), { minLength: 1, maxLength: 8 }),
      async (scheduler, kinds) => {
        const flights = new Flights();
        let [running, ran, isThere] = [0, 0, false];
        const all = kinds.map(async (kind, i) => {
          const controller = new AbortController();
          if (kind === 'stopped') {
            void scheduler.schedule(Promise.resolve(), `stop ${i}`).then(() => controller.abort());
          }
          try {
            using _flight = await flights.enter(action, controller.signal);
            if (isThere) return;
            running += 1;
            expect(running).toBe(1);
            await scheduler.schedule(Promise.resolve(), `run ${i}`);
            running -= 1;
            ran += 1;
            isThere ||= kind === 'succeeds';
          } catch (error) {
            if (!controller.signal.aborted) throw error;
          }
        });
        await scheduler.waitFor(Promise.all(all));
        expect(flights.size).toBe(0);
        const wins = kinds.filter((kind) => kind === 'succeeds').length;
        if (wins > 0) expect(isThere).toBe(true);
        expect(ran).toBeLessThanOrEqual(kinds.length - Math.max(0, wins - 1));
      },
    ),
    { numRuns: 200 },
  );
});
