import { hashBytes, nodeHash } from '#verifier/tlog/merkle.ts';
import { tileHeight, tileWidth } from './tile-path.ts';

export const tileBytes = tileWidth * hashBytes;

/**
 * Up to 256 hashes side by side with every node over them. A node is made as soon as what lies
 * below it is there, so that growing costs one hash a leaf and looking up costs none.
 */
export class Tile {
  /** Of height 0, the hashes themselves, up to 8, the one node over all of them. */
  readonly #levels: readonly Buffer[] = Array.from({ length: tileHeight + 1 }, (_, height) =>
    Buffer.alloc(tileBytes >> height),
  );
  #count = 0;

  static of(bytes: Buffer): Tile {
    const tile = new Tile();
    for (let at = 0; at < bytes.length; at += hashBytes) {
      tile.push(bytes.subarray(at, at + hashBytes));
    }
    return tile;
  }

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === tileWidth;
  }

  /** The hashes of a full tile, or the first `width` of them. */
  bytes(width = this.#count): Buffer {
    return this.#level(0).subarray(0, width * hashBytes);
  }

  push(hash: Buffer): void {
    hash.copy(this.#level(0), this.#count * hashBytes);
    let index = this.#count;
    this.#count += 1;
    for (let height = 1; index % 2 === 1; height += 1) {
      index = (index - 1) / 2;
      const left = this.node(height - 1, 2 * index);
      const right = this.node(height - 1, 2 * index + 1);
      nodeHash(left, right).copy(this.#level(height), index * hashBytes);
    }
  }

  /** The node over `2 ** height` hashes that are all there. */
  node(height: number, index: number): Buffer {
    const at = index * hashBytes;
    return this.#level(height).subarray(at, at + hashBytes);
  }

  /** Of a full tile: a hash of the level above. */
  get root(): Buffer {
    return this.node(tileHeight, 0);
  }

  /** The complete nodes over all that is there, largest first. */
  subtrees(): Buffer[] {
    const nodes: Buffer[] = [];
    for (let height = tileHeight; height >= 0; height -= 1) {
      const through = this.#count >> height;
      if (through % 2 === 1) nodes.push(Buffer.from(this.node(height, through - 1)));
    }
    return nodes;
  }

  #level(height: number): Buffer {
    return this.#levels[height] as Buffer;
  }
}
