import { hash } from 'node:crypto';
import { mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GrowingTree, type Known } from '#daemon/audit/tree/growing-tree.ts';
import { TileFiles } from '#daemon/audit/tree/tile-files.ts';
import { tilePath } from '#daemon/audit/tree/tile-path.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { emptyRoot, includes, isConsistent, nodeHash } from '#verifier/tlog/merkle.ts';

const leafOf = (index: number) => hash('sha256', `leaf ${index}`, 'buffer');
const known = new Map<string, Buffer>();

/** RFC 6962, 2.1, as it is written there. */
function rootOf(start: number, end: number): Buffer {
  if (end === start) return emptyRoot();
  if (end - start === 1) return leafOf(start);
  const name = `${start}-${end}`;
  let k = 1;
  while (k * 2 < end - start) k *= 2;
  const root = known.get(name) ?? nodeHash(rootOf(start, start + k), rootOf(start + k, end));
  known.set(name, root);
  return root;
}

const many = 65_536 + 3_000;

/** As a daemon opens one: `there` records are scanned, with the tiles that `dir` has. */
async function grown(
  dir: string,
  there: number,
  { trust, write = dir }: { trust?: Known | undefined; write?: string } = {},
) {
  const troubles: unknown[] = [];
  const tree = new GrowingTree({
    files: new TileFiles(write),
    onTrouble: (error) => troubles.push(error),
  });
  const asked: number[] = [];
  tree.readFrom((from, to) => {
    asked.push(from);
    return Promise.resolve(Array.from({ length: to - from }, (_, n) => leafOf(from + n)));
  });
  tree.begin(trust);
  for (let index = 0; index < there; index += 1) tree.add(leafOf(index).toString('hex'));
  const isSound = await tree.finish();
  return { tree, isSound, asked, troubles };
}

const trusted = (size: number): Known => ({ size, root: rootOf(0, size) });

async function assertProofs(tree: GrowingTree, index: number, size: number, from: number) {
  const root = await tree.rootAt(size);
  expect(root).toEqual(rootOf(0, size));
  const proof = await tree.inclusion(index, size);
  expect(includes({ index, size, leaf: leafOf(index), root, proof })).toBe(true);
  const claim = { from, to: size, fromRoot: rootOf(0, from), toRoot: root };
  expect(isConsistent({ ...claim, proof: await tree.consistency(from, size) })).toBe(true);
}

describe('tiles that are not what they were', () => {
  test('a doctored tile below what was signed is noticed as the tree opens', async () => {
    await using dir = await tempDir();
    await (await grown(dir.path, 2_000)).tree.settle();
    const path = join(dir.path, tilePath(0, 3));
    const bytes = await readFile(path);
    bytes.writeUInt8(bytes.readUInt8(77) ^ 1, 77);
    await writeFile(path, bytes);
    expect((await grown(dir.path, 2_000, { trust: trusted(1_900) })).isSound).toBe(false);
    const anew = await grown(dir.path, 2_000);
    expect(anew.isSound).toBe(true);
    expect(await readFile(path)).not.toEqual(bytes);
  });

  test('one that is doctored while the tree is open gives no proof, and is made anew', async () => {
    await using dir = await tempDir();
    await (await grown(dir.path, 70_000)).tree.settle();
    const { tree, asked } = await grown(dir.path, 70_000, { trust: trusted(69_000) });
    const path = join(dir.path, tilePath(0, 5));
    const good = await readFile(path);
    await writeFile(path, Buffer.alloc(good.length, 7));
    await assertProofs(tree, 5 * 256 + 9, 70_000, 5 * 256 + 1);
    await tree.settle();
    expect(await readFile(path)).toEqual(good);
    expect(asked).toContain(5 * 256);
  });

  test('records that changed as well give an error and never a proof', async () => {
    await using dir = await tempDir();
    const { tree } = await grown(dir.path, 1_000);
    await tree.settle();
    const fresh = await grown(dir.path, 1_000, { trust: trusted(1_000) });
    fresh.tree.readFrom((from, to) =>
      Promise.resolve(Array.from({ length: to - from }, () => leafOf(from + 1))),
    );
    await writeFile(join(dir.path, tilePath(0, 1)), Buffer.alloc(8192, 7));
    await expect(fresh.tree.inclusion(300, 1_000)).rejects.toThrow(
      expect.objectContaining({ code: 'audit.broken' }),
    );
    await fresh.tree.settle();
  });

  test.each(['missing', 'cut', 'empty'])('a tile that is %s is made anew', async (how) => {
    await using dir = await tempDir();
    await (await grown(dir.path, many)).tree.settle();
    for (const [level, index] of [
      [0, 4],
      [1, 0],
    ] as const) {
      const path = join(dir.path, tilePath(level, index));
      if (how === 'missing') await rm(path);
      else await truncate(path, how === 'cut' ? 8_000 : 0);
    }
    const { tree, isSound } = await grown(dir.path, many, { trust: trusted(many - 5) });
    expect(isSound).toBe(true);
    await assertProofs(tree, 4 * 256 + 3, many, 44_444);
    expect((await readFile(join(dir.path, tilePath(1, 0)))).length).toBe(8192);
  });

  test('a disk that takes none leaves a tree that gives the same proofs', async () => {
    await using dir = await tempDir();
    await writeFile(join(dir.path, 'tile'), 'in the way');
    const { tree, troubles } = await grown(dir.path, 900);
    for (let index = 900; index < 2_000; index += 1) tree.add(leafOf(index).toString('hex'));
    await tree.settle();
    expect(troubles.length).toBeGreaterThan(0);
    await assertProofs(tree, 1, 1_999, 900);
  });

  test('what a crash left between two steps of a write is written over', async () => {
    await using dir = await tempDir();
    const path = join(dir.path, tilePath(0, 0));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.new`, 'half a ti');
    const { tree } = await grown(dir.path, 600);
    await tree.settle();
    expect((await readFile(path)).length).toBe(8192);
  });
});

describe('the tree', () => {
  test('is that of the definition at every size, however it came to be', async () => {
    await using dir = await tempDir();
    const { tree } = await grown(dir.path, many);
    await tree.settle();
    const again = await grown(dir.path, many - 3, { trust: trusted(many - 300) });
    expect(again.isSound).toBe(true);
    for (let index = many - 3; index < many; index += 1) {
      again.tree.add(leafOf(index).toString('hex'));
    }
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: many }),
        fc.nat(),
        fc.nat(),
        fc.constantFrom(tree, again.tree),
        async (size, a, b, one) => assertProofs(one, a % size, size, 1 + (b % size)),
      ),
      { numRuns: 150 },
    );
  });

  test('of every size up to 600, as it grows', async () => {
    await using dir = await tempDir();
    const { tree } = await grown(dir.path, 0);
    expect(tree.now()).toEqual({ size: 0, root: emptyRoot() });
    for (let size = 1; size <= 600; size += 1) {
      tree.add(leafOf(size - 1).toString('hex'));
      expect(tree.now()).toEqual({ size, root: rootOf(0, size) });
    }
    await assertProofs(tree, 0, 1, 1);
    await assertProofs(tree, 511, 512, 256);
    expect(await tree.rootAt(0)).toEqual(emptyRoot());
    expect(await tree.consistency(0, 600)).toEqual([]);
    await tree.settle();
  });

  test('opens anew without asking for a record, where its tiles are there', async () => {
    await using dir = await tempDir();
    await (await grown(dir.path, many)).tree.settle();
    const { tree, asked } = await grown(dir.path, many, { trust: trusted(many - 400) });
    await assertProofs(tree, 12_345, many, 66_000);
    expect(asked).toEqual([]);
  });

  test('goes on behind records that were pruned, by the tiles that are left of them', async () => {
    await using dir = await tempDir();
    await (await grown(dir.path, 5_000)).tree.settle();
    const tree = new GrowingTree({ files: new TileFiles(dir.path) });
    tree.begin(trusted(4_900), 1_111);
    for (let index = 1_111; index < 5_000; index += 1) tree.add(leafOf(index).toString('hex'));
    expect(await tree.finish()).toBe(true);
    await assertProofs(tree, 17, 5_000, 1_000);
  });

  test('hands out its tiles, full and at its edge', async () => {
    await using dir = await tempDir();
    const { tree } = await grown(dir.path, 70_000);
    expect(await tree.tile(0, 2, 70_000)).toEqual(
      Buffer.concat(Array.from({ length: 256 }, (_, n) => leafOf(512 + n))),
    );
    expect(await tree.tile(0, 2, 600)).toHaveLength(88 * 32);
    const upper = await tree.tile(1, 1, 66_100);
    expect(upper).toEqual(
      Buffer.concat([256, 257].map((index) => rootOf(index * 256, (index + 1) * 256))),
    );
  });

  test('names tiles as C2SP tlog-tiles does', () => {
    expect(tilePath(0, 0)).toBe('tile/0/000');
    expect(tilePath(1, 1_234_067)).toBe('tile/1/x001/x234/067');
    expect(tilePath('entries', 67, 5)).toBe('tile/entries/067.p/5');
    expect(tilePath(0, 1_000, 256)).toBe('tile/0/x001/000');
  });
});
