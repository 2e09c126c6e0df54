import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dispatch } from '#daemon/scheduler/dispatch.ts';
import { ancestorsOf, topological, type Node } from '#daemon/scheduler/graph.ts';
import { Capacity } from '#daemon/scheduler/capacity.ts';
import { dag } from './graphs.ts';

type Story = { started: string[]; skipped: string[]; mostAtOnce: number };

async function play(
  nodes: Node[],
  options: {
    concurrency?: number;
    slots?: Capacity;
    failing?: string[];
    signal?: AbortSignal;
  } = {},
): Promise<Story & { unstarted: string[] }> {
  const story: Story = { started: [], skipped: [], mostAtOnce: 0 };
  let running = 0;
  const unstarted = await dispatch({
    nodes,
    concurrency: options.concurrency ?? 4,
    slots: options.slots ?? new Capacity({ tasks: 64 }),
    signal: options.signal ?? new AbortController().signal,
    execute: async (node) => {
      story.started.push(node.id);
      running += 1;
      story.mostAtOnce = Math.max(story.mostAtOnce, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return !options.failing?.includes(node.id);
    },
    skip: (node) => {
      story.skipped.push(node.id);
      return Promise.resolve();
    },
  });
  return { ...story, unstarted: unstarted.map((node) => node.id) };
}

test('what depends on a failed node is skipped and everything else still runs', async () => {
  const nodes = [
    { id: 'install', deps: [] },
    { id: 'lint', deps: ['install'] },
    { id: 'build', deps: ['install'] },
    { id: 'pack', deps: ['build', 'lint'] },
    { id: 'ship', deps: ['pack'] },
  ];
  const story = await play(nodes, { failing: ['lint'] });
  expect(story.started.toSorted()).toEqual(['build', 'install', 'lint']);
  expect(story.skipped).toEqual(['pack', 'ship']);
  expect(story.unstarted).toEqual([]);
});

test('an error of our own stops new starts and is thrown after the running ones ended', async () => {
  const ended: string[] = [];
  const work = dispatch({
    nodes: [
      { id: 'bad', deps: [] },
      { id: 'slow', deps: [] },
      { id: 'later', deps: ['slow'] },
    ],
    concurrency: 2,
    slots: new Capacity({ tasks: 2 }),
    signal: new AbortController().signal,
    execute: async (node) => {
      if (node.id === 'bad') throw new Error('our fault');
      await new Promise((resolve) => setTimeout(resolve, 20));
      ended.push(node.id);
      return true;
    },
    skip: () => Promise.resolve(),
  });
  await expect(work).rejects.toThrow('our fault');
  expect(ended).toEqual(['slow']);
});

test('after an abort nothing starts and the unstarted nodes are handed back', async () => {
  const controller = new AbortController();
  const started: string[] = [];
  const unstarted = await dispatch({
    nodes: [
      { id: 'a', deps: [] },
      { id: 'b', deps: ['a'] },
      { id: 'c', deps: [] },
    ],
    concurrency: 1,
    slots: new Capacity({ tasks: 1 }),
    signal: controller.signal,
    execute: (node) => {
      started.push(node.id);
      controller.abort(new Error('cancelled'));
      return Promise.resolve(true);
    },
    skip: () => Promise.resolve(),
  });
  expect(started).toEqual(['a']);
  expect(unstarted.map((node) => node.id).toSorted()).toEqual(['b', 'c']);
});

test('runs share the slots of the machine and give every one of them back', async () => {
  const slots = new Capacity({ tasks: 2 });
  const nodes = Array.from({ length: 10 }, (_, i) => ({ id: `n${i}`, deps: [] }));
  const [one, two] = await Promise.all([play(nodes, { slots }), play(nodes, { slots })]);
  expect(one.mostAtOnce).toBeLessThanOrEqual(2);
  expect(two.mostAtOnce).toBeLessThanOrEqual(2);
  expect(slots.free).toBe(2);
});

test('the longest chain is started first', async () => {
  const nodes = [
    { id: 'short', deps: [] },
    { id: 'long-1', deps: [] },
    { id: 'long-2', deps: ['long-1'] },
    { id: 'long-3', deps: ['long-2'] },
  ];
  expect((await play(nodes, { concurrency: 1 })).started[0]).toBe('long-1');
});

test('every node runs once, after its dependencies, never more at once than allowed', async () => {
  await fc.assert(
    fc.asyncProperty(dag, fc.integer({ min: 1, max: 5 }), async (nodes, concurrency) => {
      const story = await play(nodes, { concurrency });
      expect(story.started.toSorted()).toEqual(nodes.map((node) => node.id).toSorted());
      expect(story.mostAtOnce).toBeLessThanOrEqual(concurrency);
      const position = new Map(story.started.map((id, i) => [id, i]));
      for (const node of nodes) {
        for (const dep of node.deps) {
          expect(position.get(dep) ?? 0).toBeLessThan(position.get(node.id) ?? 0);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test('a node and its skipped or started ancestors account for every node, whatever fails', async () => {
  await fc.assert(
    fc.asyncProperty(dag, fc.nat(29), async (nodes, index) => {
      const failing = nodes[index % nodes.length]?.id ?? '';
      const story = await play(nodes, { failing: [failing] });
      const ordered = topological(nodes);
      const doomed = nodes
        .filter((node) => ancestorsOf(ordered, node.id).some((before) => before.id === failing))
        .map((node) => node.id);
      expect(story.skipped.toSorted()).toEqual(doomed.toSorted());
      expect([...story.started, ...story.skipped].toSorted()).toEqual(
        nodes.map((node) => node.id).toSorted(),
      );
    }),
    { numRuns: 60 },
  );
});
