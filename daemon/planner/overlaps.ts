import { reachability, type Node } from './graph.ts';

export type WithOutputs = Node & { outputs: readonly { path: string }[] };
export type Overlap = { a: string; b: string; path: string };

const overlapsMax = 50;

/**
 * Outputs of two tasks that are not ordered and name the same path, or one beneath the other's:
 * which of them would win? `order` is a topological order of all tasks.
 *
 * Tasks that share a path must form a chain, and order is transitive, so each output is compared
 * only with its neighbours in the order, once for every path above it: no pair-by-pair search.
 */
export function findOverlaps(tasks: readonly WithOutputs[], order: readonly string[]): Overlap[] {
  const withOutputs = tasks.filter((task) => task.outputs.length > 0);
  if (withOutputs.length < 2) return [];
  const place = new Map(order.map((id, i) => [id, i]));
  const owners = new Map<string, string[]>();
  const byId = new Map(withOutputs.map((task) => [task.id, task]));
  for (const id of order) {
    for (const path of new Set(byId.get(id)?.outputs.map((output) => output.path))) {
      const ids = owners.get(path);
      if (ids === undefined) owners.set(path, [id]);
      else ids.push(id);
    }
  }
  const pairs: Overlap[] = [];
  const compare = (a: string | undefined, b: string | undefined, path: string) => {
    if (a === undefined || b === undefined || a === b) return;
    // Most pairs follow each other directly, and need no search.
    if (byId.get(b)?.deps.includes(a) !== true) pairs.push({ a, b, path });
  };
  for (const [path, ids] of owners) {
    for (const [i, id] of ids.entries()) compare(ids[i - 1], id, path);
    for (const above of pathsAbove(path)) {
      const holders = owners.get(above);
      if (holders === undefined) continue;
      for (const id of ids) {
        const next = firstAfter(holders, place, place.get(id) ?? 0);
        compare(holders[next - 1] === id ? holders[next - 2] : holders[next - 1], id, path);
        compare(id, holders[next], path);
      }
    }
  }
  return unordered(pairs, tasks, order);
}

function unordered(
  pairs: readonly Overlap[],
  tasks: readonly Node[],
  order: readonly string[],
): Overlap[] {
  const found = new Map<string, Overlap>();
  const sources = [...new Set(pairs.map((pair) => pair.a))];
  // In portions, so that memory stays that of a thousand sources however many there are.
  for (let i = 0; i < sources.length && found.size < overlapsMax; i += 1024) {
    const portion = new Set(sources.slice(i, i + 1024));
    const before = reachability(tasks, order, [...portion]);
    for (const pair of pairs) {
      if (found.size >= overlapsMax) break;
      if (!portion.has(pair.a) || before(pair.a, pair.b)) continue;
      found.set(`${pair.a} ${pair.b}`, pair);
    }
  }
  return [...found.values()];
}

function pathsAbove(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(0, -1).map((_, i) => parts.slice(0, i + 1).join('/'));
}

// The index of the first holder that comes after a place in the order.
function firstAfter(
  ids: readonly string[],
  place: ReadonlyMap<string, number>,
  at: number,
): number {
  let [low, high] = [0, ids.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((place.get(ids[middle] ?? '') ?? 0) <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}
