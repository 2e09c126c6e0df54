export type Node = { id: string; deps: readonly string[] };

/** Ids in an order in which every task comes after what it depends on, or a shortest cycle. */
export type Order = { order: string[] } | { cycle: string[] };

/** Kahn's algorithm; ids must be unique and dependencies known. Keeps the given order where free. */
export function topologicalOrder(nodes: readonly Node[]): Order {
  const waitsFor = new Map(nodes.map((node) => [node.id, new Set(node.deps).size]));
  const dependents = new Map<string, string[]>(nodes.map((node) => [node.id, []]));
  for (const node of nodes) {
    for (const dep of new Set(node.deps)) dependents.get(dep)?.push(node.id);
  }
  const order = nodes.filter((node) => node.deps.length === 0).map((node) => node.id);
  for (let i = 0; i < order.length; i += 1) {
    for (const next of dependents.get(order[i] ?? '') ?? []) {
      const left = (waitsFor.get(next) ?? 0) - 1;
      waitsFor.set(next, left);
      if (left === 0) order.push(next);
    }
  }
  if (order.length === nodes.length) return { order };
  const done = new Set(order);
  return { cycle: shortestCycle(nodes.filter((node) => !done.has(node.id))) };
}

// Breadth first from each task that is left, never deeper than the best cycle so far. The budget
// keeps a plan that is nothing but cycles from costing more than a moment; what is found by then
// is a cycle, if perhaps not the shortest.
function shortestCycle(left: readonly Node[]): string[] {
  const deps = new Map(left.map((node) => [node.id, node.deps]));
  let best: string[] | undefined;
  let budget = 200_000;
  for (const { id: start } of left) {
    const cameFrom = new Map<string, string>();
    let layer = [start];
    for (let depth = 1; layer.length > 0 && depth < (best?.length ?? Infinity) - 1; depth += 1) {
      const next: string[] = [];
      for (const id of layer) {
        for (const dep of deps.get(id) ?? []) {
          budget -= 1;
          if (dep === start) {
            best = [...trail(cameFrom, start, id), start];
            next.length = 0;
            layer = [];
            break;
          }
          if (deps.has(dep) && !cameFrom.has(dep)) {
            cameFrom.set(dep, id);
            next.push(dep);
          }
        }
        if (layer.length === 0) break;
      }
      layer = next;
    }
    if (best !== undefined && (budget < 0 || best.length === 2)) break;
  }
  return best ?? [];
}

function trail(cameFrom: ReadonlyMap<string, string>, start: string, end: string): string[] {
  const path = [end];
  for (let here = end; here !== start;) {
    const before = cameFrom.get(here);
    if (before === undefined) break;
    path.push(before);
    here = before;
  }
  return path.toReversed();
}

/**
 * Answers "does a come before b?" for a chosen set of tasks. One bit per chosen task and task of
 * the plan, so memory grows with the tasks that are asked about.
 */
export function reachability(
  nodes: readonly Node[],
  order: readonly string[],
  chosen: readonly string[],
): (before: string, after: string) => boolean {
  const bit = new Map(chosen.map((id, i) => [id, i]));
  const row = new Map(order.map((id, i) => [id, i]));
  const words = Math.ceil(chosen.length / 32);
  const bits = new Uint32Array(order.length * words);
  const deps = new Map(nodes.map((node) => [node.id, node.deps]));
  for (const [i, id] of order.entries()) {
    for (const dep of deps.get(id) ?? []) {
      const from = (row.get(dep) ?? 0) * words;
      for (let w = 0; w < words; w += 1) {
        bits[i * words + w] = (bits[i * words + w] ?? 0) | (bits[from + w] ?? 0);
      }
      const own = bit.get(dep);
      if (own !== undefined) {
        const at = i * words + (own >>> 5);
        bits[at] = (bits[at] ?? 0) | (1 << (own & 31));
      }
    }
  }
  return (before, after) => {
    const own = bit.get(before);
    const at = row.get(after);
    if (own === undefined || at === undefined) return false;
    return ((bits[at * words + (own >>> 5)] ?? 0) & (1 << (own & 31))) !== 0;
  };
}
