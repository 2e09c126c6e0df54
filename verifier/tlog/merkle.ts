import { hash } from 'node:crypto';

/**
 * The Merkle tree of RFC 6962, section 2.1, over SHA-256. Hashes are 32 bytes; a proof is a list of
 * them, nearest to the leaves first.
 */
export type Proof = readonly Buffer[];

export const hashBytes = 32;
/** More than a tree of 2^53 leaves can need, and what C2SP tlog-witness accepts at most. */
export const proofHashesMax = 63;

export function leafHash(entry: Uint8Array): Buffer {
  return sha256(Buffer.concat([leafPrefix, entry]));
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  return sha256(Buffer.concat([nodePrefix, left, right]));
}

/** The root of a tree without leaves: the hash of nothing. */
export const emptyRoot: () => Buffer = () => sha256(Buffer.alloc(0));

/** The complete subtrees along the right edge of a growing tree: enough to know its root. */
export class RightEdge {
  /** Largest first, one for each bit that is set in `size`. */
  readonly #subtrees: Buffer[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(leaf: Buffer): void {
    let node = leaf;
    for (let below = this.#size; below % 2 === 1; below = (below - 1) / 2) {
      node = nodeHash(this.#subtrees.pop() ?? node, node);
    }
    this.#subtrees.push(node);
    this.#size += 1;
  }

  root(): Buffer {
    return joinSubtrees(this.#subtrees);
  }
}

/** The root over complete subtrees of falling size; the empty root where there are none. */
export function joinSubtrees(subtrees: readonly Buffer[]): Buffer {
  const [last, ...before] = subtrees.toReversed();
  if (last === undefined) return emptyRoot();
  return before.reduce((right, left) => nodeHash(left, right), last);
}

/** RFC 9162, 2.1.3.2. False for whatever does not hold, however malformed; never throws. */
export function includes(claim: {
  index: number;
  size: number;
  leaf: Buffer;
  root: Buffer;
  proof: Proof;
}): boolean {
  const { index, size, leaf, root, proof } = claim;
  if (!isCount(index) || !isCount(size) || index >= size || !isProof(proof)) return false;
  let [fn, sn] = [index, size - 1];
  let node = leaf;
  for (const sibling of proof) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      node = nodeHash(sibling, node);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      node = nodeHash(node, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && node.equals(root);
}

/**
 * Whether the tree of `to` leaves begins with that of `from` leaves: RFC 9162, 2.1.4.2. Any tree is
 * consistent with the empty one, and a tree with itself, both by an empty proof.
 */
export function isConsistent(claim: {
  from: number;
  to: number;
  fromRoot: Buffer;
  toRoot: Buffer;
  proof: Proof;
}): boolean {
  const { from, to, fromRoot, toRoot, proof } = claim;
  if (!isCount(from) || !isCount(to) || from > to || !isProof(proof)) return false;
  if (from === 0) return proof.length === 0 && fromRoot.equals(emptyRoot());
  if (from === to) return proof.length === 0 && fromRoot.equals(toRoot);
  // Where `from` is a power of two its root is a node of the bigger tree, and is not sent.
  const path = isPowerOfTwo(from) ? [fromRoot, ...proof] : [...proof];
  const first = path.shift();
  if (first === undefined || path.length === 0) return false;
  let [fn, sn] = [from - 1, to - 1];
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)];
  let [before, after] = [first, first];
  for (const node of path) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      before = nodeHash(node, before);
      after = nodeHash(node, after);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      after = nodeHash(after, node);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && before.equals(fromRoot) && after.equals(toRoot);
}

const leafPrefix = Buffer.from([0]);
const nodePrefix = Buffer.from([1]);

function sha256(bytes: Buffer): Buffer {
  return hash('sha256', bytes, 'buffer');
}

// Sizes go beyond 2^31, so no shifts.
function half(value: number): number {
  return Math.floor(value / 2);
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value)) && 2 ** Math.round(Math.log2(value)) === value;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isProof(proof: Proof): boolean {
  return proof.length <= proofHashesMax && proof.every(({ length }) => length === hashBytes);
}
