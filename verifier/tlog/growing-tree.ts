import { hash } from 'node:crypto';
import { emptyRoot, hashBytes } from './merkle.ts';

/** Called with the 256 hashes of a full tile; the bytes are used again afterwards. */
export type OnTile = (level: number, index: number, bytes: Buffer) => void;

const tileWidth = 256;
const levelsMax = 54;

/**
 * The tree over leaves that come one by one: its root whenever it is asked for, and every full tile.
 * Memory is that of one tile a level, and a leaf costs one hash.
 */
export class GrowingTree {
  size = 0;
  readonly #subtrees = Buffer.alloc(levelsMax * hashBytes);
  readonly #node = Buffer.alloc(1 + 2 * hashBytes, 1);
  readonly #tiles: { bytes: Buffer; count: number; index: number }[] = [];
  readonly #onTile: OnTile | undefined;

  constructor(onTile?: OnTile) {
    this.#onTile = onTile;
  }

  /** `leaf` is a hash in hex, as records name it. */
  add(leaf: string): void {
    const node = this.#node;
    const right = 1 + hashBytes;
    node.write(leaf, right, hashBytes, 'hex');
    this.#put(0, node, right);
    let height = 0;
    for (let rest = this.size; rest % 2 === 1; rest = (rest - 1) / 2) {
      this.#subtrees.copy(node, 1, height * hashBytes, (height + 1) * hashBytes);
      hash('sha256', node, 'buffer').copy(node, right);
      height += 1;
      if (height % 8 === 0) this.#put(height / 8, node, right);
    }
    node.copy(this.#subtrees, height * hashBytes, right);
    this.size += 1;
  }

  root(): Buffer {
    let root: Buffer | undefined;
    let rest = this.size;
    for (let height = 0; rest > 0; height += 1) {
      if (rest % 2 === 1) {
        const at = height * hashBytes;
        const subtree = this.#subtrees.subarray(at, at + hashBytes);
        root = root === undefined ? Buffer.from(subtree) : this.#join(subtree, root);
      }
      rest = Math.floor(rest / 2);
    }
    return root ?? emptyRoot();
  }

  #join(left: Buffer, right: Buffer): Buffer {
    left.copy(this.#node, 1);
    right.copy(this.#node, 1 + hashBytes);
    return hash('sha256', this.#node, 'buffer');
  }

  #put(level: number, from: Buffer, at: number): void {
    if (this.#onTile === undefined) return;
    const tile = (this.#tiles[level] ??= {
      bytes: Buffer.alloc(tileWidth * hashBytes),
      count: 0,
      index: 0,
    });
    from.copy(tile.bytes, tile.count * hashBytes, at, at + hashBytes);
    tile.count += 1;
    if (tile.count < tileWidth) return;
    this.#onTile(level, tile.index, tile.bytes);
    tile.count = 0;
    tile.index += 1;
  }
}
