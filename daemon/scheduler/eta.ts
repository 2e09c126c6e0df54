import { bottomLevels, dependentsOf, type Node } from './graph.ts';
import { Heap } from './heap.ts';

/** Where a node stands: it will run, it ran or never will, or it runs since so many ms. */
export type Standing = 'waiting' | 'over' | { runningMs: number };

export type Remaining<T extends Node> = {
  nodes: readonly T[];
  concurrency: number;
  /** How long a node takes in all, in ms. */
  cost: (node: T) => number;
  /** `over` too for what is going to be skipped. */
  standing: (node: T) => Standing;
};

/** A task that takes longer than expected is expected to take this much longer than so far. */
const overdue = 0.25;

/**
 * How long it takes until all nodes are over, in ms, if each takes what it costs: the dispatch
 * played through in thought, what has most before it first. Counts places only: neither claims nor
 * locks, nor what other runs do meanwhile, so it is rather too early than too late.
 */
export function remainingMs<T extends Node>(work: Remaining<T>): number {
  const { nodes, cost } = work;
  const standings = new Map(nodes.map((node) => [node.id, work.standing(node)]));
  const isOver = (id: string) => standings.get(id) === undefined || standings.get(id) === 'over';
  const levels = bottomLevels(nodes, cost);
  const dependents = dependentsOf(nodes);
  const missing = new Map<string, number>();
  const order = new Map(nodes.map(({ id }, i) => [id, i]));
  const ready = new Heap<T>((a, b) => {
    const [one, other] = [levels.get(a.id) ?? 0, levels.get(b.id) ?? 0];
    return one > other || (one === other && (order.get(a.id) ?? 0) < (order.get(b.id) ?? 0));
  });
  const ends = new Heap<{ node: T; at: number }>((a, b) => a.at < b.at);

  for (const node of nodes) {
    const standing = standings.get(node.id);
    if (typeof standing === 'object') {
      ends.push({ node, at: leftOf(cost(node), standing.runningMs) });
    } else if (standing === 'waiting') {
      const left = [...new Set(node.deps)].filter((id) => !isOver(id)).length;
      missing.set(node.id, left);
      if (left === 0) ready.push(node);
    }
  }

  const places = Math.max(1, work.concurrency);
  let now = 0;
  for (;;) {
    while (ends.size < places) {
      const node = ready.pop();
      if (!node) break;
      ends.push({ node, at: now + Math.max(0, cost(node)) });
    }
    const ended = ends.pop();
    if (!ended) return Math.round(now);
    now = Math.max(now, ended.at);
    for (const next of dependents.get(ended.node.id) ?? []) {
      const left = missing.get(next.id);
      if (left === undefined) continue;
      missing.set(next.id, left - 1);
      if (left === 1) ready.push(next);
    }
  }
}

function leftOf(costMs: number, ranMs: number): number {
  return ranMs < costMs ? costMs - ranMs : ranMs * overdue;
}
