import assert from 'node:assert/strict';
import { OrchestraError } from '#contract/errors.ts';
import {
  emptyRoot,
  hashBytes,
  includes,
  isConsistent,
  joinSubtrees,
  type Proof,
} from '#verifier/tlog/merkle.ts';
import { consistencyPath, hashOver, inclusionPath } from './paths.ts';
import { tileHeight, tileWidth } from './tile-path.ts';
import { Tile, tileBytes } from './tile.ts';
import type { TileFiles } from './tile-files.ts';
import type { LogTree } from './types.ts';

export type TreeOptions = {
  files: TileFiles;
  /** A tile could not be kept; it is made again from the segments when it is asked for. */
  onTrouble?: (error: unknown) => void;
};

/** A tree that was signed, so that what lies below it on disk need not be made again. */
export type Known = { size: number; root: Buffer };
/** The hashes of durable records `from` up to, not including, `to`. */
export type Leaves = (from: number, to: number) => Promise<Buffer[]>;

const cachedMax = 64;
/** Of a disk that stands still; the others are made again when they are asked for. */
const unwrittenMax = 256;

/**
 * The tree of a log that is being written. Its right edge is in memory, one tile a level; full tiles
 * lie on disk. The edge is what everything is checked against: it comes from the records themselves,
 * by the scan at the start and by `add` afterwards.
 *
 * Opening: `begin`, `add` for each record, `finish`. Then `add` for each durable record.
 */
export class GrowingTree implements LogTree {
  readonly #files: TileFiles;
  readonly #onTrouble: (error: unknown) => void;
  #leaves: Leaves = () => Promise.resolve([]);
  #size = 0;
  /** The tile of each level that still grows. */
  #edge: Tile[] = [new Tile()];
  #opening: Opening | undefined;
  /** Full tiles that are on their way to the disk. */
  readonly #unwritten = new Map<string, Tile>();
  readonly #cached = new Map<string, Tile>();
  readonly #roots = new Map<number, Buffer>();
  #writing: Promise<void> = Promise.resolve();

  constructor({ files, onTrouble }: TreeOptions) {
    this.#files = files;
    this.#onTrouble = onTrouble ?? (() => {});
  }

  get size(): number {
    return this.#size;
  }

  /** Where hashes come from that are asked for again. */
  readFrom(leaves: Leaves): void {
    this.#leaves = leaves;
  }

  /**
   * Records from `first` on follow. Up to `known` tiles of the disk are taken as they are, where
   * they are there: `finish` says whether that was right.
   */
  begin(known: Known | undefined, first = 0): void {
    const leading = first % tileWidth;
    const tile = (first - leading) / tileWidth;
    const base = Math.max(tile, Math.floor(Math.max(0, (known?.size ?? 0) - 1) / tileWidth));
    const raw = Buffer.alloc(tileBytes);
    this.#opening = { base, roots: new Map(), known, raw };
    this.#size = first;
    this.#edge = [new Tile()];
    this.#cached.clear();
    this.#roots.clear();
    if (leading === 0) return;
    const bytes = this.#files.readNow(0, tile);
    if (bytes === undefined) throw gone(0, tile);
    bytes.copy(raw, 0, 0, leading * hashBytes);
  }

  /** The hash of the next record, as hex. */
  add(leaf: string): void {
    if (this.#opening !== undefined) {
      this.#addOpening(leaf, this.#opening);
      return;
    }
    const edge = this.#edgeAt(0);
    edge.push(Buffer.from(leaf, 'hex'));
    this.#size += 1;
    if (edge.isFull) this.#rise(0, this.#size / tileWidth - 1, edge);
  }

  // Of a tile that is on disk and was signed no node has to be made: that is most of a log.
  #addOpening(leaf: string, { base, roots, raw }: Opening): void {
    raw.write(leaf, (this.#size % tileWidth) * hashBytes, 'hex');
    this.#size += 1;
    if (this.#size % tileWidth !== 0) return;
    const index = this.#size / tileWidth - 1;
    if (index < base && this.#files.has(0, index)) return;
    const tile = Tile.of(raw);
    roots.set(index, Buffer.from(tile.root));
    this.#keepNow(0, index, tile);
  }

  /** False where the tiles on disk do not give the root that is known: begin anew without. */
  async finish(): Promise<boolean> {
    const opening = this.#opening;
    assert(opening !== undefined, 'the tree is being opened');
    const { known } = opening;
    const { raw } = opening;
    this.#edge = [Tile.of(raw.subarray(0, (this.#size % tileWidth) * hashBytes))];
    let full = Math.floor(this.#size / tileWidth);
    for (let level = 1; full > 0; level += 1) {
      const edge = new Tile();
      const next = Math.floor(full / tileWidth);
      for (let index = next * tileWidth; index < full; index += 1) {
        const root = await this.#rootWhileOpening(level - 1, index);
        if (root === undefined) return false;
        edge.push(root);
      }
      this.#edge[level] = edge;
      full = next;
    }
    this.#opening = undefined;
    if (known === undefined || known.size > this.#size) return true;
    // Not by `rootAt`, which would call it a broken log.
    return (await this.#rootOf(known.size)).equals(known.root);
  }

  /** What is in memory alone, as of now. */
  now(): Known {
    const subtrees = this.#edge.toReversed().flatMap((tile) => tile.subtrees());
    return { size: this.#size, root: joinSubtrees(subtrees) };
  }

  async rootAt(size: number): Promise<Buffer> {
    this.#assertSize(size);
    const found = this.#roots.get(size);
    if (found !== undefined) return found;
    const now = this.now();
    if (size === now.size) return now.root;
    const root = await this.#checked(0, size, async () => {
      const fromRoot = await this.#rootOf(size);
      if (size === 0) return fromRoot;
      const proof = await consistencyPath(size, now.size, this.#nodeAt);
      const claim = { from: size, to: now.size, fromRoot, toRoot: now.root, proof };
      return isConsistent(claim) ? fromRoot : undefined;
    });
    if (this.#roots.size >= cachedMax) this.#roots.clear();
    this.#roots.set(size, root);
    return root;
  }

  async inclusion(index: number, size: number): Promise<Proof> {
    this.#assertSize(size);
    assert(index >= 0 && index < size, 'the record is in the tree');
    const root = await this.rootAt(size);
    return this.#checked(index, size, async () => {
      const leaf = await this.#nodeAt(0, index);
      const proof = await inclusionPath(index, size, this.#nodeAt);
      return includes({ index, size, leaf, root, proof }) ? proof : undefined;
    });
  }

  async consistency(from: number, to: number): Promise<Proof> {
    this.#assertSize(to);
    assert(from >= 0 && from <= to, 'the tree only grows');
    if (from === 0 || from === to) return [];
    const [fromRoot, toRoot] = [await this.rootAt(from), await this.rootAt(to)];
    return this.#checked(from - 1, to, async () => {
      const proof = await consistencyPath(from, to, this.#nodeAt);
      return isConsistent({ from, to, fromRoot, toRoot, proof }) ? proof : undefined;
    });
  }

  /** The hashes of a tile of the tree of `size` leaves, fewer than 256 at its edge. */
  async tile(level: number, index: number, size: number): Promise<Buffer> {
    this.#assertSize(size);
    const span = tileWidth ** level;
    const width = Math.min(tileWidth, Math.floor(size / span) - index * tileWidth);
    assert(width > 0, 'the tile is in the tree');
    const root = await this.rootAt(size);
    const at = index * tileWidth * span;
    const end = Math.min(at + width * span, size);
    return this.#checked(at, size, async () => {
      const tile = await this.#tileAt(level, index);
      // One proof from the last hash vouches for all: whatever else is on its way is made of them.
      const proof = await inclusionPath(end - 1, size, this.#nodeAt);
      const leaf = await this.#nodeAt(0, end - 1);
      const isSound = includes({ index: end - 1, size, leaf, root, proof });
      return isSound ? Buffer.from(tile.bytes(width)) : undefined;
    });
  }

  /** Waits until the disk has what it is to have. */
  async settle(): Promise<void> {
    await this.#writing;
  }

  // From tiles that may have been changed: what comes of it counts only once it is checked.
  async #rootOf(size: number): Promise<Buffer> {
    return size === 0 ? emptyRoot() : hashOver(0, size, this.#nodeAt);
  }

  /** What `make` gives; where that does not hold, once more with tiles made anew from the segments. */
  async #checked<T>(leaf: number, size: number, make: () => Promise<T | undefined>): Promise<T> {
    const made = await make();
    if (made !== undefined) return made;
    await this.#remake(size);
    const again = await make();
    if (again !== undefined) return again;
    throw new OrchestraError('audit.broken', `The tree over record ${leaf} is not what it was`, {
      hint: 'orchestra audit verify',
    });
  }

  /** All full tiles, bottom up. Only damage leads here. */
  async #remake(size: number): Promise<void> {
    this.#cached.clear();
    this.#roots.clear();
    const top = Math.ceil(Math.log2(size) / tileHeight) - 1;
    for (let level = 0; level <= top; level += 1) {
      const full = Math.floor(size / tileWidth ** (level + 1));
      for (let index = 0; index < full; index += 1) await this.#derive(level, index);
    }
  }

  readonly #nodeAt = async (height: number, index: number): Promise<Buffer> => {
    const level = Math.floor(height / tileHeight);
    const within = height % tileHeight;
    const perTile = 2 ** (tileHeight - within);
    const tile = await this.#tileAt(level, Math.floor(index / perTile));
    return tile.node(within, index % perTile);
  };

  async #tileAt(level: number, index: number): Promise<Tile> {
    const full = Math.floor(this.#size / tileWidth ** (level + 1));
    if (index >= full) return this.#edgeAt(level);
    const name = `${level}/${index}`;
    const near = this.#unwritten.get(name) ?? this.#cached.get(name);
    if (near !== undefined) return near;
    const bytes = await this.#files.read(level, index);
    const tile = bytes === undefined ? await this.#derive(level, index) : Tile.of(bytes);
    this.#remember(name, tile);
    return tile;
  }

  /** From the records themselves, or from the tiles below. */
  async #derive(level: number, index: number): Promise<Tile> {
    const from = index * tileWidth;
    const tile = new Tile();
    if (level === 0) {
      const leaves = await this.#leaves(from, from + tileWidth);
      for (const leaf of leaves) tile.push(leaf);
    } else {
      for (let below = from; below < from + tileWidth; below += 1) {
        tile.push((await this.#tileAt(level - 1, below)).root);
      }
    }
    if (!tile.isFull) throw gone(level, index);
    this.#keep(level, index, tile);
    return tile;
  }

  /** Before there is an edge above level 0. Undefined where a tile is not there after all. */
  async #rootWhileOpening(level: number, index: number): Promise<Buffer | undefined> {
    const { base, roots } = this.#opening as Opening;
    const built = level === 0 ? roots.get(index) : undefined;
    if (built !== undefined) return built;
    if (level === 0 || index < Math.floor(base / tileWidth ** level)) {
      const bytes = await this.#files.read(level, index);
      if (bytes !== undefined) return Tile.of(bytes).root;
    }
    if (level === 0) return undefined;
    const tile = new Tile();
    for (let below = index * tileWidth; below < (index + 1) * tileWidth; below += 1) {
      const root = await this.#rootWhileOpening(level - 1, below);
      if (root === undefined) return undefined;
      tile.push(root);
    }
    this.#keepNow(level, index, tile);
    return tile.root;
  }

  /** A full tile leaves the edge, and its root goes on to the level above. */
  #rise(level: number, index: number, tile: Tile): void {
    this.#edge[level] = new Tile();
    this.#keep(level, index, tile);
    const above = this.#edgeAt(level + 1);
    above.push(tile.root);
    if (above.isFull) this.#rise(level + 1, Math.floor(index / tileWidth), above);
  }

  #edgeAt(level: number): Tile {
    return (this.#edge[level] ??= new Tile());
  }

  #keep(level: number, index: number, tile: Tile): void {
    const name = `${level}/${index}`;
    this.#remember(name, tile);
    if (this.#unwritten.size >= unwrittenMax) return;
    this.#unwritten.set(name, tile);
    this.#writing = this.#writing.then(async () => {
      try {
        await this.#files.write(level, index, tile.bytes());
      } catch (error) {
        this.#onTrouble(error);
      } finally {
        if (this.#unwritten.get(name) === tile) this.#unwritten.delete(name);
      }
    });
  }

  #keepNow(level: number, index: number, tile: Tile): void {
    try {
      this.#files.writeNow(level, index, tile.bytes());
    } catch (error) {
      this.#onTrouble(error);
    }
  }

  #remember(name: string, tile: Tile): void {
    this.#cached.delete(name);
    this.#cached.set(name, tile);
    if (this.#cached.size <= cachedMax) return;
    const [oldest = ''] = this.#cached.keys();
    this.#cached.delete(oldest);
  }

  #assertSize(size: number): void {
    assert(Number.isSafeInteger(size) && size >= 0 && size <= this.#size, 'the tree has that size');
  }
}

type Opening = {
  /** Tiles of level 0 below it are taken from the disk. */
  base: number;
  /** Of the tiles of level 0 from `base` on. */
  roots: Map<number, Buffer>;
  known: Known | undefined;
  /** The leaves of the tile that is being read. */
  raw: Buffer;
};

function gone(level: number, index: number): OrchestraError {
  const message = `The hashes of tile ${level}/${index} are not there any more`;
  return new OrchestraError('audit.broken', message, { hint: 'orchestra audit verify' });
}
