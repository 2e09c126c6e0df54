import type { Capacity } from './capacity.ts';
import { Frontier, type Opened } from './frontier.ts';
import { bottomLevels, type Node } from './graph.ts';
import type { Claim } from './ledger.ts';
import { Place } from './place.ts';

/** What a node that runs may do about its place on the machine. */
export type Turn = {
  /**
   * Gives the place to others while `wait` runs and takes one again before it resolves: for a
   * pause between attempts, or for another run that does the same work. Whoever waits for another
   * task *must* wait outside: with few places both could wait for ever. Once at a time; rejects
   * with the reason when the dispatch is stopped meanwhile.
   */
  outside<R>(wait: () => Promise<R>): Promise<R>;
};

export type Dispatch<T extends Node> = {
  nodes: readonly T[];
  /** Ids that are over at the start: true where the way is open, false where it is closed. */
  over?: ReadonlyMap<string, boolean>;
  /** How many of these nodes may run at once, beside what the machine allows all runs together. */
  concurrency: number;
  slots: Capacity;
  /** Goes before what other dispatches of a lower priority wait for; 0 if left out. */
  priority?: number;
  /** How long a node is going to take, in ms; all the same if left out. */
  cost?: (node: T) => number;
  /** What a node takes of the machine; nothing but a place if left out. */
  claim?: (node: T) => Claim;
  /**
   * Awaited before each start, and after each wait outside. Resolve at once, or return nothing,
   * where the way is free: a node that has to wait here gives its place back meanwhile.
   */
  admit?: (signal: AbortSignal) => Promise<void> | undefined;
  /**
   * Runs one node. `false` closes the way for everything that depends on it. With another graph the
   * way behind it is closed as well, and from then on that graph is the one that runs: what began or
   * ended stays as it is, and a node that is the same object is the same node.
   */
  execute(node: T, turn: Turn): Promise<boolean | { amended: readonly T[] }>;
  /** A node that will never run, and the failed node that is the cause. */
  skip(node: T, because: string): Promise<void>;
  signal: AbortSignal;
};

const noClaim: Claim = { cpuMilli: 0, memoryBytes: 0, locks: [] };
const skipsAtOnce = 256;

/**
 * Runs a DAG in dependency order, what takes longest with all that waits for it first, each node
 * once and only when what it claims is free. A failed node skips what depends on it and lets the
 * rest finish. When the signal aborts, nothing new starts; what runs is expected to end by itself on
 * the same signal. Resolves, once nothing runs any more, with the nodes that neither started nor
 * were skipped nor were over before. An `execute`, `skip` or `admit` that rejects is our own
 * failure: nothing new starts, and the first such error is thrown once the others have ended.
 */
export async function dispatch<T extends Node>(work: Dispatch<T>): Promise<T[]> {
  const frontier = new Frontier(work.nodes, work.over);
  let levels = bottomLevels(work.nodes, work.cost);
  const failure = new AbortController();
  const signal = AbortSignal.any([work.signal, failure.signal]);
  using share = work.slots.join({ priority: work.priority, atOnce: work.concurrency });
  const { promise: idle, resolve: becomeIdle } = Promise.withResolvers<void>();
  let running = 0;

  const checkIdle = () => {
    if (running === 0 && share.waiting.size === 0) becomeIdle();
  };

  const follow = (step: Promise<void>) => {
    running += 1;
    const ended = () => {
      running -= 1;
      checkIdle();
    };
    step
      .catch((error: unknown) => {
        if (!signal.aborted) failure.abort(error);
      })
      .then(ended, ended);
  };

  const open = async ({ ready, skipped }: Opened<T>) => {
    for (const node of ready) ask(node);
    for (let i = 0; i < skipped.length; i += skipsAtOnce) {
      const some = skipped.slice(i, i + skipsAtOnce);
      await Promise.all(some.map(({ node, because }) => work.skip(node, because)));
    }
  };

  const ask = (node: T) => {
    if (signal.aborted) return;
    const claim = work.claim?.(node) ?? noClaim;
    const rank = levels.get(node.id) ?? 0;
    const place = { share, claim, rank, signal, admit: work.admit };
    share.ask({ claim, rank, granted: (lease) => follow(run(node, Place.enter(place, lease))) });
  };

  const run = async (node: T, entered: Promise<Place>) => {
    let opened: Opened<T>;
    {
      using place = await entered;
      if (!frontier.begin(node)) return;
      const ended = await work.execute(node, { outside: (wait) => place.outside(wait) });
      if (typeof ended === 'object') levels = bottomLevels(ended.amended, work.cost);
      opened =
        typeof ended === 'object'
          ? frontier.amend(node.id, ended.amended)
          : frontier.end(node.id, ended);
    }
    // In the same tick in which the place came free, so that what follows is among those who ask.
    await open(opened);
  };

  const stop = () => {
    share.clear(signal.reason);
    checkIdle();
  };
  signal.addEventListener('abort', stop, { once: true });
  follow(open(frontier.start()));
  await idle;
  signal.removeEventListener('abort', stop);
  if (failure.signal.aborted) throw failure.signal.reason;
  return frontier.unstarted;
}
