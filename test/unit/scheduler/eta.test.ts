import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Outlook, type Standing } from '#daemon/scheduler/eta.ts';
import { bottomLevels } from '#daemon/scheduler/graph.ts';
import { dag, shapes } from './graphs.ts';

const waiting = (): Standing => 'waiting';

test('a graph that is over, or empty, needs no more time', () => {
  expect(new Outlook([], () => 5).remainingMs(4, waiting)).toBe(0);
  const nodes = [{ id: 'a', deps: [] }];
  expect(new Outlook(nodes, () => 5).remainingMs(4, () => 'over')).toBe(0);
});

test('a task that takes longer than expected is not expected to be over at once', () => {
  const outlook = new Outlook([{ id: 'a', deps: [] }], () => 1_000);
  expect(outlook.remainingMs(1, () => ({ runningMs: 400 }))).toBe(600);
  expect(outlook.remainingMs(1, () => ({ runningMs: 4_000 }))).toBe(1_000);
});

test('what waits behind a running task begins when that is expected to end', () => {
  const nodes = [
    { id: 'done', deps: [] },
    { id: 'runs', deps: ['done'] },
    { id: 'next', deps: ['runs', 'done'] },
    { id: 'skipped', deps: ['done'] },
  ];
  const standings: Record<string, Standing> = {
    done: 'over',
    runs: { runningMs: 300 },
    next: 'waiting',
    skipped: 'over',
  };
  const outlook = new Outlook(nodes, ({ id }) => (id === 'runs' ? 1_000 : 50));
  expect(outlook.remainingMs(2, ({ id }) => standings[id] ?? 'waiting')).toBe(750);
});

test('with one place it is the sum, with enough places the longest way', () => {
  fc.assert(
    fc.property(
      dag,
      fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 31 }),
      (nodes, ms) => {
        const cost = ({ id }: { id: string }) => ms[Number(id.slice(1)) % ms.length] ?? 1;
        const outlook = new Outlook(nodes, cost);
        const sum = nodes.reduce((all, node) => all + cost(node), 0);
        const longest = Math.max(...bottomLevels(nodes, cost).values());
        expect(outlook.remainingMs(1, waiting)).toBe(sum);
        expect(outlook.remainingMs(100, waiting)).toBe(longest);
        for (const places of [2, 3]) {
          const eta = outlook.remainingMs(places, waiting);
          expect(eta).toBeGreaterThanOrEqual(Math.max(longest, Math.ceil(sum / places)));
          // What any list schedule keeps to.
          expect(eta).toBeLessThanOrEqual(sum / places + longest);
        }
      },
    ),
  );
});

test.each(shapes(10_000))('$name of 10,000 tasks has an end', ({ nodes, longest }) => {
  const outlook = new Outlook(nodes, () => 10);
  expect(outlook.remainingMs(1, waiting)).toBe(100_000);
  expect(outlook.remainingMs(10_000, waiting)).toBe(longest * 10);
});
