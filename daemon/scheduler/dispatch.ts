import { bottomLevels, dependentsOf, type Node } from './graph.ts';
import { Slots } from './slots.ts';

export type Dispatch<T extends Node> = {
  nodes: readonly T[];
  /** How many of these nodes may run at once; the slots of the machine limit all runs together. */
  concurrency: number;
  slots: Slots;
  /** Runs one node. `false` closes the way for everything that depends on it. */
  execute(node: T): Promise<boolean>;
  /** A node that will never run, and the failed node that is the cause. */
  skip(node: T, because: string): Promise<void>;
  signal: AbortSignal;
};

/**
 * Runs a DAG in dependency order, the longest remaining chain first. A failed node skips what
 * depends on it and lets the rest finish. When the signal aborts, nothing new starts; what runs is
 * expected to end by itself on the same signal. Resolves, once nothing runs any more, with the
 * nodes that neither started nor were skipped. An `execute` or `skip` that rejects is our own
 * failure: nothing new starts, and the first such error is thrown once the others have ended.
 */
export async function dispatch<T extends Node>(work: Dispatch<T>): Promise<T[]> {
  const dependents = dependentsOf(work.nodes);
  const levels = bottomLevels(work.nodes);
  const missing = new Map(work.nodes.map((node) => [node.id, new Set(node.deps).size]));
  const unstarted = new Map(work.nodes.map((node) => [node.id, node]));
  const own = new Slots(work.concurrency);
  const ready: T[] = [];
  const open = new Set<Promise<void>>();
  const failure = new AbortController();
  const signal = AbortSignal.any([work.signal, failure.signal]);

  // One opening for each ready node; whoever gets a slot first takes the longest chain.
  const release = (node: T) => {
    insertByLevel(ready, node, levels);
    const opening = runNext()
      .catch((error: unknown) => {
        if (!signal.aborted) failure.abort(error);
      })
      .finally(() => open.delete(opening));
    open.add(opening);
  };

  const runNext = async () => {
    using _own = await own.take(signal);
    using _slot = await work.slots.take(signal);
    signal.throwIfAborted();
    const node = ready.pop();
    if (!node) return;
    unstarted.delete(node.id);
    if (await work.execute(node)) releaseAfter(node);
    else await skipAfter(node);
  };

  const releaseAfter = (node: T) => {
    for (const next of dependents.get(node.id) ?? []) {
      const left = (missing.get(next.id) ?? 0) - 1;
      missing.set(next.id, left);
      if (left === 0 && unstarted.has(next.id)) release(next);
    }
  };

  const skipAfter = async (failed: T) => {
    const doomed = [...(dependents.get(failed.id) ?? [])];
    for (const node of doomed) {
      if (!unstarted.delete(node.id)) continue;
      doomed.push(...(dependents.get(node.id) ?? []));
      await work.skip(node, failed.id);
    }
  };

  for (const node of work.nodes) if (missing.get(node.id) === 0) release(node);
  while (open.size > 0) await Promise.race(open);
  if (failure.signal.aborted) throw failure.signal.reason;
  return [...unstarted.values()];
}

/** Keeps `ready` ordered so that its last element has the longest chain, the oldest of equals. */
function insertByLevel<T extends Node>(ready: T[], node: T, levels: Map<string, number>): void {
  const level = levels.get(node.id) ?? 0;
  let [low, high] = [0, ready.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((levels.get(ready[middle]?.id ?? '') ?? 0) < level) low = middle + 1;
    else high = middle;
  }
  ready.splice(low, 0, node);
}
