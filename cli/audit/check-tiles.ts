import { parseSignedCheckpoint } from '../../verifier/tlog/checkpoint.ts';
import { hashBytes, leafHash, RightEdge } from '../../verifier/tlog/merkle.ts';

const width = 256;

/**
 * Whether the tiles are those of the tree that the checkpoint names, and every record that is there
 * the one of its leaf; or what is not right.
 */
export async function checkTiles(
  read: (name: string) => Promise<Buffer>,
): Promise<{ size: number; tiles: number; entries: number } | string> {
  const checkpoint = parseSignedCheckpoint(await read('checkpoint'));
  if (checkpoint === undefined) return 'there is no checkpoint';
  const { size, root } = checkpoint;
  const edge = new RightEdge();
  let tiles = 0;
  let entries = 0;
  let above: Buffer[] | undefined;
  for (let level = 0; size >= width ** level; level += 1) {
    const hashes = Math.floor(size / width ** level);
    const roots: Buffer[] = [];
    for (let index = 0; index * width < hashes; index += 1) {
      const count = Math.min(width, hashes - index * width);
      const name = nameOf(String(level), index, count);
      const bytes = await read(name).catch(() => Buffer.alloc(0));
      if (bytes.length !== count * hashBytes) return `${name} is not there, or cut`;
      const all = Array.from({ length: count }, (_, n) =>
        bytes.subarray(n * hashBytes, (n + 1) * hashBytes),
      );
      const below = above?.slice(index * width, index * width + count);
      if (below?.some((hash, n) => !hash.equals(all[n] ?? root)) === true) {
        return `${name} is not made of the tiles below it`;
      }
      if (level === 0) {
        for (const hash of all) edge.add(hash);
        const found = await entriesOf(read, index, all);
        if (typeof found === 'string') return found;
        entries += found;
      }
      if (count === width) roots.push(rootOf(all));
      tiles += 1;
    }
    above = roots;
  }
  if (!edge.root().equals(root)) return 'the tiles do not make the root that is signed';
  return { size, tiles, entries };
}

/** How many there are: none where they were pruned. */
async function entriesOf(
  read: (name: string) => Promise<Buffer>,
  index: number,
  leaves: readonly Buffer[],
): Promise<number | string> {
  const name = nameOf('entries', index, leaves.length);
  const bytes = await read(name).catch(() => undefined);
  if (bytes === undefined) return 0;
  let at = 0;
  for (const leaf of leaves) {
    const length = at + 2 <= bytes.length ? bytes.readUInt16BE(at) : Infinity;
    if (at + 2 + length > bytes.length) return `${name} is cut`;
    if (!leafHash(bytes.subarray(at + 2, at + 2 + length)).equals(leaf)) {
      return `${name} holds another record`;
    }
    at += 2 + length;
  }
  return at === bytes.length ? leaves.length : `${name} holds more than its records`;
}

function nameOf(level: string, index: number, count: number): string {
  const groups = [String(index % 1000).padStart(3, '0')];
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`);
  }
  return `tile/${level}/${groups.join('/')}${count === width ? '' : `.p/${count}`}`;
}

function rootOf(hashes: readonly Buffer[]): Buffer {
  const edge = new RightEdge();
  for (const hash of hashes) edge.add(hash);
  return edge.root();
}
