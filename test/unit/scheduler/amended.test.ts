import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Capacity } from '#daemon/scheduler/capacity.ts';
import { dispatch } from '#daemon/scheduler/dispatch.ts';
import type { Node } from '#daemon/scheduler/graph.ts';
import { dag } from './graphs.ts';

type Graph = readonly Node[];

type Story = { started: Node[]; ended: Map<string, boolean>; skipped: string[]; last: Graph };

/** Plays a graph in which the nodes of `failing` fail and `amend` answers with another graph. */
async function play(
  nodes: Graph,
  failing: ReadonlySet<string>,
  amend: (failed: Node, story: Story) => Graph | undefined,
  concurrency = 3,
): Promise<Story & { unstarted: string[] }> {
  const story: Story = { started: [], ended: new Map(), skipped: [], last: nodes };
  const unstarted = await dispatch<Node>({
    nodes,
    concurrency,
    slots: new Capacity({ tasks: 64 }),
    signal: new AbortController().signal,
    execute: async (node) => {
      for (const dep of node.deps) {
        if (story.ended.get(dep) !== true) throw new Error(`${node.id} began before ${dep}`);
      }
      story.started.push(node);
      await new Promise((resolve) => setImmediate(resolve));
      const passed = !failing.has(node.id);
      story.ended.set(node.id, passed);
      const amended = passed ? undefined : amend(node, story);
      if (amended === undefined) return passed;
      story.last = amended;
      return { amended };
    },
    skip: ({ id }) => {
      story.skipped.push(id);
      return Promise.resolve();
    },
  });
  return { ...story, unstarted: unstarted.map(({ id }) => id) };
}

test('a node that is in no graph any more does not begin, though it was waiting for its turn', async () => {
  const nodes = [
    { id: 'bad', deps: [] },
    { id: 'other', deps: [] },
  ];
  const story = await play(nodes, new Set(['bad']), () => [{ id: 'instead', deps: [] }], 1);
  expect(story.started.map(({ id }) => id)).toEqual(['bad', 'instead']);
  expect(story.unstarted).toEqual([]);
});

test('what depends on a failed node is skipped where the other graph still says so', async () => {
  const nodes = [
    { id: 'bad', deps: [] },
    { id: 'after', deps: ['bad'] },
    { id: 'free', deps: [] },
  ];
  const story = await play(nodes, new Set(['bad']), () => [...nodes, { id: 'new', deps: [] }]);
  expect(story.skipped).toEqual(['after']);
  expect(story.started.map(({ id }) => id).toSorted()).toEqual(['bad', 'free', 'new']);
});

test('a failed node makes way for others, and what did not wait for it runs on as it is', async () => {
  const long = { id: 'long', deps: [] };
  const after = { id: 'after-long', deps: ['long'] };
  const nodes = [{ id: 'bad', deps: [] }, long, after, { id: 'pack', deps: ['bad', 'long'] }];
  const story = await play(nodes, new Set(['bad']), () => [
    long,
    after,
    { id: 'good', deps: [] },
    { id: 'pack', deps: ['good', 'long'] },
  ]);
  expect(story.started.map(({ id }) => id).toSorted()).toEqual(
    ['after-long', 'bad', 'good', 'long', 'pack'].toSorted(),
  );
  expect(story.skipped).toEqual([]);
});

test('however often a graph is amended, no node runs twice, none before what it waits for, and none is lost', async () => {
  const cases = fc.record({
    nodes: dag,
    failing: fc.uniqueArray(fc.nat(30), { maxLength: 6 }),
    amends: fc.integer({ min: 0, max: 4 }),
    concurrency: fc.integer({ min: 1, max: 5 }),
    dropEvery: fc.integer({ min: 2, max: 7 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ nodes, failing, amends, concurrency, dropEvery }) => {
      let left = amends;
      const dropped = new Set<string>();
      const bad = new Set(failing.map((n) => `n${n}`));
      const story = await play(
        nodes,
        bad,
        (failed, { last, started, skipped }) => {
          if (left === 0) return undefined;
          left -= 1;
          return reroute(last, failed, { started, skipped, dropEvery, dropped, round: left });
        },
        concurrency,
      );
      const ids = story.started.map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
      for (const { id } of story.last) {
        expect([ids.includes(id), story.skipped.includes(id)].filter(Boolean)).toHaveLength(1);
      }
      for (const id of dropped) expect(ids).not.toContain(id);
      expect(story.unstarted).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

/** The failed node is replaced under another name, and some that did not begin are dropped. */
function reroute(
  last: Graph,
  failed: Node,
  how: {
    started: readonly Node[];
    skipped: readonly string[];
    dropEvery: number;
    dropped: Set<string>;
    round: number;
  },
): Graph {
  const isOver = new Set([...how.started.map(({ id }) => id), ...how.skipped]);
  const out = last.filter(({ id }, i) => !isOver.has(id) && i % how.dropEvery === 0);
  for (const { id } of out) how.dropped.add(id);
  const gone = new Set([failed.id, ...out.map(({ id }) => id)]);
  const instead = `${failed.id}-r${how.round}`;
  const kept = last
    .filter(({ id }) => !gone.has(id))
    .map((node) => {
      const touched = !isOver.has(node.id) && node.deps.some((dep) => gone.has(dep));
      if (!touched) return node;
      const deps = node.deps.map((dep) => (dep === failed.id ? instead : dep));
      return { id: node.id, deps: deps.filter((dep) => !gone.has(dep)) };
    });
  return [...kept, { id: instead, deps: failed.deps }];
}
