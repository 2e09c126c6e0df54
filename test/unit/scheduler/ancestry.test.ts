import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Ancestry } from '#daemon/scheduler/ancestry.ts';
import { ancestorsOf, topological } from '#daemon/scheduler/graph.ts';
import { dag, shapes } from './graphs.ts';

test('a node that is not there has no ancestors, and unknown dependencies are nobody', () => {
  const ancestry = new Ancestry([{ id: 'a', deps: ['ghost'] }]);
  expect(ancestry.of('ghost')).toEqual([]);
  expect(ancestry.of('a')).toEqual([]);
});

test('the ancestors are those that a walk finds, in the same order, whoever is asked first', () => {
  fc.assert(
    fc.property(dag, (nodes) => {
      const ordered = topological(nodes);
      const ancestry = new Ancestry(ordered);
      for (const { id } of nodes) expect(ancestry.of(id)).toEqual(ancestorsOf(ordered, id));
    }),
  );
});

test.each(shapes(10_000))('in $name of 10,000 everybody before the last is known', ({ nodes }) => {
  const ancestry = new Ancestry(nodes);
  const last = nodes.at(-1)?.id ?? '';
  expect(ancestry.of(last)).toEqual(ancestorsOf(nodes, last));
});
