import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  emptyRoot,
  includes,
  isConsistent,
  leafHash,
  nodeHash,
  RightEdge,
} from '#verifier/tlog/merkle.ts';

/** The vectors that golang/mod and certificate-transparency ship: eight entries. */
const entries = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
];
const roots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const leaves = entries.map((hex) => leafHash(Buffer.from(hex, 'hex')));

/** RFC 6962, 2.1, as it is written there. */
function rootOf(list: readonly Buffer[]): Buffer {
  if (list.length === 0) return emptyRoot();
  const [only] = list;
  if (list.length === 1 && only) return only;
  const k = split(list.length);
  return nodeHash(rootOf(list.slice(0, k)), rootOf(list.slice(k)));
}
function split(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}
function path(m: number, list: readonly Buffer[]): Buffer[] {
  if (list.length <= 1) return [];
  const k = split(list.length);
  return m < k
    ? [...path(m, list.slice(0, k)), rootOf(list.slice(k))]
    : [...path(m - k, list.slice(k)), rootOf(list.slice(0, k))];
}
function consistency(m: number, list: readonly Buffer[], whole = true): Buffer[] {
  if (m === list.length) return whole ? [] : [rootOf(list)];
  const k = split(list.length);
  return m <= k
    ? [...consistency(m, list.slice(0, k), whole), rootOf(list.slice(k))]
    : [...consistency(m - k, list.slice(k), false), rootOf(list.slice(0, k))];
}

const someLeaves = fc
  .integer({ min: 1, max: 70 })
  .map((n) => Array.from({ length: n }, (_, i) => leafHash(Buffer.from(`record ${i}`))));
const inTree = someLeaves.chain((list) =>
  fc.record({ list: fc.constant(list), at: fc.integer({ min: 0, max: list.length - 1 }) }),
);

describe('roots', () => {
  test('are those of the public vectors', () => {
    const edge = new RightEdge();
    expect(edge.root().toString('hex')).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
    for (const [i, leaf] of leaves.entries()) {
      edge.add(leaf);
      expect(edge.root().toString('hex')).toBe(roots[i]);
      expect(edge.size).toBe(i + 1);
    }
  });

  test('of a growing edge are those of the definition', () => {
    fc.assert(
      fc.property(someLeaves, (list) => {
        const edge = new RightEdge();
        for (const leaf of list) edge.add(leaf);
        expect(edge.root().equals(rootOf(list))).toBe(true);
      }),
    );
  });
});

describe('an inclusion proof', () => {
  test('holds for its leaf, its place and its tree only', () => {
    fc.assert(
      fc.property(inTree, ({ list, at }) => {
        const leaf = list[at] ?? emptyRoot();
        const claim = {
          index: at,
          size: list.length,
          leaf,
          root: rootOf(list),
          proof: path(at, list),
        };
        expect(includes(claim)).toBe(true);
        expect(includes({ ...claim, leaf: leafHash(Buffer.from('another')) })).toBe(false);
        expect(includes({ ...claim, index: at + list.length })).toBe(false);
        expect(includes({ ...claim, proof: [...claim.proof, leaf] })).toBe(false);
        if (list.length > 1) {
          expect(includes({ ...claim, index: (at + 1) % list.length })).toBe(false);
          expect(includes({ ...claim, proof: claim.proof.slice(1) })).toBe(false);
        }
      }),
    );
  });

  test('of absurd numbers is refused and does not throw', () => {
    const [leaf = emptyRoot()] = leaves;
    for (const [index, size] of [
      [-1, 1],
      [0, 0],
      [1, 1],
      [0.5, 1],
      [0, NaN],
      [0, 2 ** 60],
    ] as const) {
      expect(includes({ index, size, leaf, root: leaf, proof: [] })).toBe(false);
    }
    const short = [Buffer.alloc(31)];
    expect(includes({ index: 0, size: 2, leaf, root: leaf, proof: short })).toBe(false);
  });
});

describe('a consistency proof', () => {
  test('holds between a tree and what it grew to, and no other way', () => {
    fc.assert(
      fc.property(inTree, ({ list, at }) => {
        const from = at + 1;
        const claim = {
          from,
          to: list.length,
          fromRoot: rootOf(list.slice(0, from)),
          toRoot: rootOf(list),
          proof: consistency(from, list),
        };
        expect(isConsistent(claim)).toBe(true);
        const other = leafHash(Buffer.from('another'));
        expect(isConsistent({ ...claim, fromRoot: other })).toBe(false);
        expect(isConsistent({ ...claim, toRoot: other })).toBe(false);
        expect(isConsistent({ ...claim, proof: [...claim.proof, other] })).toBe(false);
        if (claim.proof.length > 0) {
          expect(isConsistent({ ...claim, proof: claim.proof.slice(1) })).toBe(false);
          expect(isConsistent({ ...claim, proof: [other, ...claim.proof.slice(1)] })).toBe(false);
        }
      }),
    );
  });

  test('from the empty tree is empty, and no tree shrinks', () => {
    const toRoot = rootOf(leaves);
    const claim = { from: 0, to: 8, fromRoot: emptyRoot(), toRoot, proof: [] };
    expect(isConsistent(claim)).toBe(true);
    expect(isConsistent({ ...claim, fromRoot: toRoot })).toBe(false);
    expect(isConsistent({ ...claim, proof: [toRoot] })).toBe(false);
    expect(isConsistent({ ...claim, from: 8, to: 7, fromRoot: toRoot })).toBe(false);
  });
});
