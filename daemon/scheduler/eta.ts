import { bottomLevels, type Node } from './graph.ts';
import { Heap } from './heap.ts';

/** Where a node stands: it will run, it ran or never will, or it runs since so many ms. */
export type Standing = 'waiting' | 'over' | { runningMs: number };

/** A task that takes longer than expected is expected to take this much longer than so far. */
const overdue = 0.25;

/**
 * How long it takes until a graph is over, if each node takes what it costs: the dispatch played
 * through in thought, the longest way first. Made once for a graph, asked as often as one likes.
 * Counts places only: neither claims nor locks, nor what other runs do meanwhile, so it is rather
 * too early than too late.
 */
export class Outlook<T extends Node> {
  readonly #nodes: readonly T[];
  readonly #costs: readonly number[];
  /** For each node its place in the order of starting. */
  readonly #places: readonly number[];
  readonly #deps: readonly (readonly number[])[];
  readonly #dependents: readonly (readonly number[])[];

  /** `cost`: how long a node takes in all, in ms. */
  constructor(nodes: readonly T[], cost: (node: T) => number) {
    const costs = nodes.map((node) => Math.max(0, cost(node)));
    const index = new Map(nodes.map(({ id }, i) => [id, i]));
    const levels = bottomLevels(nodes, ({ id }) => costs[index.get(id) ?? -1] ?? 0);
    const level = (i: number) => levels.get(nodes[i]?.id ?? '') ?? 0;
    const places = nodes.map(() => 0);
    const order = nodes.map((_, i) => i).toSorted((a, b) => level(b) - level(a) || a - b);
    for (const [place, i] of order.entries()) places[i] = place;
    const dependents: number[][] = nodes.map(() => []);
    const deps = nodes.map((node) => [...new Set(node.deps)].flatMap((id) => index.get(id) ?? []));
    for (const [i, before] of deps.entries()) for (const dep of before) dependents[dep]?.push(i);
    this.#nodes = nodes;
    this.#costs = costs;
    this.#places = places;
    this.#deps = deps;
    this.#dependents = dependents;
  }

  /** In ms. `over` is also where a node stands that is going to be skipped. */
  remainingMs(concurrency: number, standing: (node: T) => Standing): number {
    const missing = this.#nodes.map(() => -1);
    const ready = new Heap<number>((a, b) => (this.#places[a] ?? 0) < (this.#places[b] ?? 0));
    const ends = new Heap<{ node: number; at: number }>((a, b) => a.at < b.at);
    const standings = this.#nodes.map(standing);
    const isAhead = (i: number) => standings[i] !== 'over';

    for (const [i, now] of standings.entries()) {
      if (typeof now === 'object') {
        ends.push({ node: i, at: leftOf(this.#costs[i] ?? 0, now.runningMs) });
      } else if (now === 'waiting') {
        const left = this.#deps[i]?.filter(isAhead).length ?? 0;
        missing[i] = left;
        if (left === 0) ready.push(i);
      }
    }

    const places = Math.max(1, concurrency);
    let nowMs = 0;
    for (;;) {
      while (ends.size < places) {
        const node = ready.pop();
        if (node === undefined) break;
        ends.push({ node, at: nowMs + (this.#costs[node] ?? 0) });
      }
      const ended = ends.pop();
      if (!ended) return Math.round(nowMs);
      nowMs = ended.at;
      for (const next of this.#dependents[ended.node] ?? []) {
        const left = (missing[next] ?? 0) - 1;
        missing[next] = left;
        if (left === 0) ready.push(next);
      }
    }
  }
}

function leftOf(costMs: number, ranMs: number): number {
  return ranMs < costMs ? costMs - ranMs : ranMs * overdue;
}
