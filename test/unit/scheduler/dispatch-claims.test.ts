import fc from 'fast-check';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Capacity } from '#daemon/scheduler/capacity.ts';
import { dispatch, type Dispatch, type Turn } from '#daemon/scheduler/dispatch.ts';
import type { Node } from '#daemon/scheduler/graph.ts';
import type { Claim } from '#daemon/scheduler/ledger.ts';
import { dag, shapes } from './graphs.ts';

const nothing: Claim = { cpuMilli: 0, memoryBytes: 0, locks: [] };

/** A dispatch that succeeds with everything, and what it did in order. */
function play(nodes: Node[], options: Partial<Dispatch<Node>> = {}) {
  const started: string[] = [];
  const skipped: string[] = [];
  const ended = dispatch({
    nodes,
    concurrency: 4,
    slots: new Capacity({ tasks: 64 }),
    signal: new AbortController().signal,
    skip: (node, because) => {
      skipped.push(`${node.id} because of ${because}`);
      return Promise.resolve();
    },
    ...options,
    execute: async (node, turn) => {
      started.push(node.id);
      await setImmediate();
      return options.execute?.(node, turn) ?? true;
    },
  });
  return { started, skipped, ended };
}

const chain = [
  { id: 'a', deps: [] },
  { id: 'b', deps: ['a'] },
  { id: 'c', deps: ['b'] },
  { id: 'd', deps: ['c'] },
];

test('a run that only waits for others ends at once when it is cancelled', async () => {
  const slots = new Capacity({ tasks: 1 });
  using other = slots.join();
  using _held = await other.take(nothing, new AbortController().signal);
  const controller = new AbortController();
  const { started, ended } = play(chain, { slots, signal: controller.signal });
  await setImmediate();
  controller.abort(new Error('cancelled'));
  expect((await ended).map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd']);
  expect(started).toEqual([]);
  expect(slots.waiting).toBe(0);
});

test('a run that was cancelled before it began starts nothing', async () => {
  const { started, ended } = play(chain, { signal: AbortSignal.abort(new Error('cancelled')) });
  expect(await ended).toHaveLength(4);
  expect(started).toEqual([]);
});

test('what follows a task that ended after the cancellation is not waited for', async () => {
  const slots = new Capacity({ tasks: 1 });
  const controller = new AbortController();
  using other = slots.join({ priority: 9 });
  const { started, ended } = play(chain, {
    slots,
    signal: controller.signal,
    execute: () => {
      void other.take(nothing, new AbortController().signal);
      controller.abort(new Error('cancelled'));
      return Promise.resolve(true);
    },
  });
  expect((await ended).map(({ id }) => id)).toEqual(['b', 'c', 'd']);
  expect(started).toEqual(['a']);
});

test('a run that is cancelled while it is admitted starts nothing', async () => {
  const slots = new Capacity({ tasks: 1 });
  const controller = new AbortController();
  const { started, ended } = play(chain, {
    slots,
    signal: controller.signal,
    admit: () => {
      controller.abort(new Error('cancelled'));
      return Promise.resolve();
    },
  });
  expect(await ended).toHaveLength(4);
  expect([started, slots.free]).toEqual([[], 1]);
});

test('too many that wait are an error of the run, not a silence', async () => {
  const slots = new Capacity({ tasks: 1 }, 2);
  const nodes = ['a', 'b', 'c', 'd'].map((id) => ({ id, deps: [] }));
  await expect(play(nodes, { slots }).ended).rejects.toMatchObject({ code: 'daemon.busy' });
  expect(slots.waiting).toBe(0);
});

test('a claim that cannot be told ends the run, and nothing is left waiting', async () => {
  const slots = new Capacity({ tasks: 4 });
  const claim = (node: Node) => {
    if (node.id === 'c') throw new Error('no claim');
    return nothing;
  };
  await expect(play(chain, { slots, claim }).ended).rejects.toThrow('no claim');
  expect([slots.waiting, slots.free]).toEqual([0, 4]);
});

test('what is over does not run again, and what it opened goes on from there', async () => {
  const over = new Map([
    ['a', true],
    ['b', true],
  ]);
  const { started, skipped, ended } = play(chain, { over });
  expect(await ended).toEqual([]);
  expect(started).toEqual(['c', 'd']);
  expect(skipped).toEqual([]);
});

test('what is over and closed skips what depends on it, and only what is not over itself', async () => {
  const nodes = [...chain, { id: 'free', deps: ['a'] }];
  const over = new Map([
    ['a', true],
    ['b', false],
    ['c', false],
  ]);
  const { started, skipped, ended } = play(nodes, { over });
  expect(await ended).toEqual([]);
  expect(started).toEqual(['free']);
  expect(skipped).toEqual(['d because of c']);
});

test('what is over does not run again even if something before it does', async () => {
  const { started, ended } = play(chain, { over: new Map([['b', true]]) });
  expect(await ended).toEqual([]);
  expect(started.toSorted()).toEqual(['a', 'c', 'd']);
});

test('a graph of which everything is over is over', async () => {
  const { started, ended } = play(chain, { over: new Map(chain.map(({ id }) => [id, true])) });
  expect(await ended).toEqual([]);
  expect(started).toEqual([]);
});

test('a graph goes on from wherever it was left, and every node has one end in all', async () => {
  await fc.assert(
    fc.asyncProperty(dag, fc.func(fc.nat(9)), fc.nat(30), async (nodes, luck, stopAfter) => {
      const outcome = ({ id }: Node) => luck(id) > 1;
      const over = new Map<string, boolean>();
      const skippedBefore = new Set<string>();
      const controller = new AbortController();
      const first = play(nodes, {
        signal: controller.signal,
        execute: (node) => {
          over.set(node.id, outcome(node));
          if (over.size > stopAfter) controller.abort(new Error('killed'));
          return Promise.resolve(outcome(node));
        },
        skip: ({ id }) => {
          skippedBefore.add(id);
          return Promise.resolve();
        },
      });
      await first.ended;
      for (const id of skippedBefore) over.set(id, false);
      const second = play(nodes, { over, execute: (node) => Promise.resolve(outcome(node)) });
      expect(await second.ended).toEqual([]);
      const skippedAfter = second.skipped.map((line) => line.split(' ')[0] ?? '');
      const all = [...first.started, ...skippedBefore, ...second.started, ...skippedAfter];
      expect(all.toSorted()).toEqual(nodes.map(({ id }) => id).toSorted());
    }),
    { numRuns: 60 },
  );
});

test('what takes longest with all that waits for it is started first', async () => {
  const nodes = [
    { id: 'short-1', deps: [] },
    { id: 'short-2', deps: ['short-1'] },
    { id: 'short-3', deps: ['short-2'] },
    { id: 'long', deps: [] },
  ];
  const cost = ({ id }: Node) => (id === 'long' ? 60_000 : 1_000);
  const { started, ended } = play(nodes, { cost, concurrency: 1 });
  await ended;
  expect(started).toEqual(['long', 'short-1', 'short-2', 'short-3']);
});

test('tasks of one lock run one after another, also across runs, and others beside them', async () => {
  const slots = new Capacity({ tasks: 8 });
  const running = new Set<string>();
  let most = 0;
  const options: Partial<Dispatch<Node>> = {
    slots,
    claim: ({ id }) => ({ ...nothing, locks: id.startsWith('db') ? ['db'] : [] }),
    execute: async ({ id }) => {
      if (!id.startsWith('db')) return true;
      running.add(id);
      most = Math.max(most, running.size);
      await setImmediate();
      return running.delete(id);
    },
  };
  const nodes = (run: string) =>
    ['db-1', 'db-2', 'free-1', 'free-2'].map((id) => ({ id: `${id}-${run}`, deps: [] }));
  const [one, other] = [play(nodes('x'), options), play(nodes('y'), options)];
  await Promise.all([one.ended, other.ended]);
  expect(most).toBe(1);
  expect([...one.started, ...other.started]).toHaveLength(8);
});

/** A door that is open or closed. */
class Door {
  #way = Promise.resolve();
  #open = () => {};
  asked = 0;

  close(): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#way = promise;
    this.#open = resolve;
  }

  open(): void {
    this.#open();
  }

  readonly admit = async (signal: AbortSignal): Promise<void> => {
    this.asked += 1;
    const { promise: stopped, reject } = Promise.withResolvers<never>();
    stopped.catch(() => {});
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    await Promise.race([this.#way, stopped]);
  };
}

const settle = async () => {
  for (let i = 0; i < 20; i += 1) await setImmediate();
};

test('a paused run starts nothing, keeps no place of the machine, and goes on afterwards', async () => {
  const slots = new Capacity({ tasks: 2 });
  const door = new Door();
  const { started, ended } = play(chain, {
    slots,
    admit: door.admit,
    execute: ({ id }) => {
      if (id === 'b') door.close();
      return Promise.resolve(true);
    },
  });
  await settle();
  expect(started).toEqual(['a', 'b']);
  expect(slots.free).toBe(2);
  door.open();
  expect(await ended).toEqual([]);
  expect(started).toEqual(['a', 'b', 'c', 'd']);
});

test('a paused run with much to do asks for its admission as often as it may run at once', async () => {
  const door = new Door();
  door.close();
  const nodes = Array.from({ length: 1_000 }, (_, i) => ({ id: `n${i}`, deps: [] }));
  const { started, ended } = play(nodes, { admit: door.admit });
  await settle();
  expect(door.asked).toBeLessThanOrEqual(4);
  door.open();
  await ended;
  expect(started).toHaveLength(1_000);
});

test('a run that is paused again while it waits for its place does not start', async () => {
  const slots = new Capacity({ tasks: 1 });
  using other = slots.join();
  const door = new Door();
  door.close();
  const { started, ended } = play([{ id: 'a', deps: [] }], { slots, admit: door.admit });
  await settle();
  const held = await other.take(nothing, new AbortController().signal);
  door.open();
  await settle();
  door.close();
  held[Symbol.dispose]();
  await settle();
  expect(started).toEqual([]);
  door.open();
  expect(await ended).toEqual([]);
});

test('a paused run can be cancelled', async () => {
  const door = new Door();
  door.close();
  const controller = new AbortController();
  const { started, ended } = play(chain, { admit: door.admit, signal: controller.signal });
  await settle();
  controller.abort(new Error('cancelled'));
  expect(await ended).toHaveLength(4);
  expect(started).toEqual([]);
});

test('an admission that fails is an error of our own', async () => {
  const admit = () => Promise.reject(new Error('no door'));
  const slots = new Capacity({ tasks: 1 });
  await expect(play(chain, { slots, admit }).ended).rejects.toThrow('no door');
  expect(slots.free).toBe(1);
});

test('an admission that is always slow keeps nobody out for ever', async () => {
  const nodes = shapes(40)[1]?.nodes ?? [];
  const { started, ended } = play(nodes, { admit: () => settle() });
  expect(await ended).toEqual([]);
  expect(started).toHaveLength(40);
});

test('who waits outside lets others have the place, and comes back to one', async () => {
  const slots = new Capacity({ tasks: 1 });
  const { promise: partner, resolve } = Promise.withResolvers<void>();
  const nodes = [
    { id: 'waits', deps: [] },
    { id: 'partner', deps: [] },
  ];
  const free: number[] = [];
  const execute = async ({ id }: Node, turn: Turn) => {
    if (id === 'partner') resolve();
    else await turn.outside(() => partner);
    free.push(slots.free);
    return true;
  };
  expect(await play(nodes, { slots, execute, cost: ({ id }) => id.length }).ended).toEqual([]);
  expect(free).toEqual([0, 0]);
  expect(slots.free).toBe(1);
});

test('who waits outside while the run is paused or stopped does not come back in', async () => {
  const slots = new Capacity({ tasks: 1 });
  const door = new Door();
  const controller = new AbortController();
  let cameBack = false;
  const { ended } = play([{ id: 'a', deps: [] }], {
    slots,
    admit: door.admit,
    signal: controller.signal,
    execute: async (_node, turn) => {
      await turn.outside(async () => {
        door.close();
        await setImmediate();
      });
      cameBack = true;
      return true;
    },
  });
  await settle();
  expect([cameBack, slots.free]).toEqual([false, 1]);
  controller.abort(new Error('cancelled'));
  await ended;
  expect([cameBack, slots.free]).toEqual([false, 1]);
});

test('an error outside is the error of the node, and its place is not given back twice', async () => {
  const slots = new Capacity({ tasks: 2 });
  const execute = (_node: Node, turn: Turn) =>
    turn.outside(() => Promise.reject(new Error('partner failed')));
  await expect(play(chain, { slots, execute }).ended).rejects.toThrow('partner failed');
  expect(slots.free).toBe(2);
});

test('a large run and a small later one end side by side', async () => {
  const slots = new Capacity({ tasks: 4 });
  const many = Array.from({ length: 2_000 }, (_, i) => ({ id: `n${i}`, deps: [] }));
  const large = play(many, { slots, concurrency: 64 });
  await settle();
  await play(chain, { slots }).ended;
  expect(large.started.length).toBeLessThan(500);
  await large.ended;
});

test.each(shapes(10_000))('$name of 10,000 tasks comes to its end', async ({ nodes }) => {
  const ends = new Map<string, number>();
  let running = 0;
  let most = 0;
  const slots = new Capacity({ tasks: 32 });
  const unstarted = await dispatch({
    nodes,
    concurrency: 32,
    slots,
    signal: new AbortController().signal,
    execute: async ({ id, deps }) => {
      most = Math.max(most, (running += 1));
      expect(deps.every((dep) => ends.has(dep))).toBe(true);
      await Promise.resolve();
      running -= 1;
      ends.set(id, ends.size);
      return true;
    },
    skip: () => Promise.reject(new Error('nothing is to be skipped')),
  });
  expect(unstarted).toEqual([]);
  expect(ends.size).toBe(10_000);
  expect(most).toBeLessThanOrEqual(32);
  expect([slots.free, slots.waiting]).toEqual([32, 0]);
});

test.each(shapes(10_000))(
  '$name of which the first of 10,000 fails skips the rest once',
  async ({ nodes }) => {
    const skipped = new Set<string>();
    await dispatch({
      nodes,
      concurrency: 32,
      slots: new Capacity({ tasks: 32 }),
      signal: new AbortController().signal,
      execute: ({ id }) => Promise.resolve(id !== 'n0'),
      skip: ({ id }) => {
        expect(skipped.has(id)).toBe(false);
        skipped.add(id);
        return Promise.resolve();
      },
    });
    const behind = nodes.filter(({ deps }) => deps.includes('n0')).map(({ id }) => id);
    expect(behind.every((id) => skipped.has(id))).toBe(true);
  },
);
