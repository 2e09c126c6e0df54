import { nodeHash } from '#verifier/tlog/merkle.ts';

/** Looks up the node over the leaves `index * 2 ** height` and on, `2 ** height` of them. */
export type NodeAt = (height: number, index: number) => Promise<Buffer>;

/** The hash over the leaves from `start` to, not including, `end`: RFC 6962, 2.1. */
export async function hashOver(start: number, end: number, nodeAt: NodeAt): Promise<Buffer> {
  const count = end - start;
  const height = Math.log2(count);
  if (Number.isInteger(height) && 2 ** height === count) return nodeAt(height, start / count);
  const split = start + splitOf(count);
  return nodeHash(await hashOver(start, split, nodeAt), await hashOver(split, end, nodeAt));
}

/** RFC 6962, 2.1.1, nearest to the leaf first. */
export async function inclusionPath(
  index: number,
  size: number,
  nodeAt: NodeAt,
): Promise<Buffer[]> {
  const path: Buffer[] = [];
  for (let [start, end] = [0, size]; end - start > 1;) {
    const split = start + splitOf(end - start);
    const isLeft = index < split;
    path.push(await (isLeft ? hashOver(split, end, nodeAt) : hashOver(start, split, nodeAt)));
    if (isLeft) end = split;
    else start = split;
  }
  return path.reverse();
}

/** RFC 6962, 2.1.2. `from` is more than 0. */
export async function consistencyPath(from: number, to: number, nodeAt: NodeAt): Promise<Buffer[]> {
  const path: Buffer[] = [];
  let [start, end] = [0, to];
  while (end !== from) {
    const split = start + splitOf(end - start);
    const isLeft = from <= split;
    path.push(await (isLeft ? hashOver(split, end, nodeAt) : hashOver(start, split, nodeAt)));
    if (isLeft) end = split;
    else start = split;
  }
  // Where it begins with the first leaf it is the tree of `from` itself, whose root is known.
  if (start > 0) path.push(await hashOver(start, end, nodeAt));
  return path.reverse();
}

/** The largest power of two below `count`. */
function splitOf(count: number): number {
  let split = 1;
  while (split * 2 < count) split *= 2;
  return split;
}
