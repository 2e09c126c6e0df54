/**
 * Who runs next: the order of a DAG, and nothing about what its nodes are.
 */
export type Node = { id: string; deps: readonly string[] };

/**
 * What is left from the start of each node to the end of all that waits for it, by what each
 * costs: the longest is started first. Without costs the length of the longest chain.
 */
export function bottomLevels<T extends Node>(
  nodes: readonly T[],
  cost: (node: T) => number = () => 1,
): Map<string, number> {
  const levels = new Map<string, number>();
  const after = new Map<string, number>();
  for (const node of topological(nodes).reverse()) {
    const level = Math.max(0, cost(node)) + (after.get(node.id) ?? 0);
    levels.set(node.id, level);
    for (const dep of node.deps) after.set(dep, Math.max(after.get(dep) ?? 0, level));
  }
  return levels;
}

/** Every node after all of its dependencies; among equals the order in which they were given. */
export function topological<T extends Node>(nodes: readonly T[]): T[] {
  const waiting = new Map(nodes.map((node) => [node.id, new Set(node.deps).size]));
  const dependents = dependentsOf(nodes);
  const ordered = nodes.filter((node) => waiting.get(node.id) === 0);
  for (const node of ordered) {
    for (const dependent of dependents.get(node.id) ?? []) {
      const left = (waiting.get(dependent.id) ?? 0) - 1;
      waiting.set(dependent.id, left);
      if (left === 0) ordered.push(dependent);
    }
  }
  return ordered;
}

export function dependentsOf<T extends Node>(nodes: readonly T[]): Map<string, T[]> {
  const dependents = new Map<string, T[]>(nodes.map((node) => [node.id, []]));
  for (const node of nodes) {
    for (const dep of new Set(node.deps)) dependents.get(dep)?.push(node);
  }
  return dependents;
}

/** All nodes that come before `id`, in topological order. For many ids of one graph: `Ancestry`. */
export function ancestorsOf<T extends Node>(ordered: readonly T[], id: string): T[] {
  const wanted = new Set<string>();
  const byId = new Map(ordered.map((node) => [node.id, node]));
  const open = [...(byId.get(id)?.deps ?? [])];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (wanted.has(next)) continue;
    wanted.add(next);
    open.push(...(byId.get(next)?.deps ?? []));
  }
  return ordered.filter((node) => wanted.has(node.id));
}
