import fc from 'fast-check';
import type { Node } from '#daemon/scheduler/graph.ts';

/** Random DAGs: a node depends only on nodes before it, then the list is shuffled. */
export const dag = fc
  .array(fc.array(fc.nat(30), { maxLength: 4 }), { minLength: 1, maxLength: 30 })
  .map((rows) =>
    rows.map((deps, i) => ({
      id: `n${i}`,
      deps: i === 0 ? [] : [...new Set(deps.map((d) => `n${d % i}`))],
    })),
  )
  .chain((nodes) => fc.shuffledSubarray(nodes, { minLength: nodes.length }));

export type Shape = { name: string; nodes: Node[]; longest: number };

/** The shapes that plans have when they are large, and the nodes on their longest way. */
export function shapes(n: number): Shape[] {
  const make = (name: string, longest: number, depsOf: (i: number) => number[]): Shape => ({
    name,
    longest,
    nodes: Array.from({ length: n }, (_, i) => ({
      id: `n${i}`,
      deps: depsOf(i).map((dep) => `n${dep}`),
    })),
  });
  const width = 100;
  return [
    make('a chain', n, (i) => (i === 0 ? [] : [i - 1])),
    make('a star', 2, (i) => (i === 0 ? [] : [0])),
    make('a funnel', 2, (i) => (i < n - 1 ? [] : Array.from({ length: n - 1 }, (_, k) => k))),
    make('layers', n / width, (i) =>
      i < width
        ? []
        : Array.from({ length: 10 }, (_, k) => i - (i % width) - width + ((i + 7 * k) % width)),
    ),
    // a → b, c → d → next a
    make('diamonds', (n / 4) * 3, (i) => {
      if (i % 4 === 0) return i === 0 ? [] : [i - 1];
      return i % 4 === 3 ? [i - 1, i - 2] : [i - (i % 4)];
    }),
  ];
}
