import * as fs from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { layerDigest } from '#daemon/workspace/manifest.ts';
import { prune } from '#daemon/workspace/prune/prune.ts';
import { frames } from '#test/support/orchestra.ts';
import { Scratch } from '../support.ts';
import { leave, type Left, namesIn, readAll, rootsOf, sealed, workFor } from './support.ts';

const one = { files: { a: 'one', same: 'both' }, layers: [{ b: 'made by one' }], blobs: ['out 1'] };
const two = { files: { a: 'two', same: 'both' }, layers: [{ b: 'made by two' }], blobs: ['out 2'] };

describe('what nobody may lose', () => {
  test('what a kept run names stays, down to the files of its snapshot and of its folders', async () => {
    await using scratch = new Scratch();
    const workspace = await scratch.workspace();
    const kept = await leave(workspace, 'r-1', { ...one, folders: [{ x: 'in a folder' }] });
    await leave(workspace, 'r-2', { ...two, folders: [{ x: 'in another' }] });
    await workspace.store.prune(workFor([kept]));
    await readAll(workspace, kept);
  });

  test('what was used within the grace stays, whether a run names it or not', async () => {
    await using scratch = new Scratch();
    const workspace = await scratch.workspace();
    const left = await leave(workspace, 'r-1', { ...one, folders: [{ x: 'in a folder' }] });
    const before = namesIn(scratch.path('state'));
    const parts = await workspace.store.prune(
      workFor([], { now: Date.now() + 60_000, graceMs: 120_000 }),
    );
    expect(parts).toEqual([]);
    expect(namesIn(scratch.path('state'))).toEqual(before);
    await readAll(workspace, left);
  });

  test('an attempt under way stays however old it is, and what an upload has brought so far', async () => {
    await using scratch = new Scratch();
    const workspace = await scratch.workspace();
    const { digest: snapshot } = await workspace.snapshots.ingest(frames({ a: 'one' }));
    const attempt = await workspace.layers.prepare({ snapshot, ancestors: [] });
    fs.writeFileSync(join(attempt.upper, 'half'), 'x');
    const brought = Promise.withResolvers<void>();
    const rest = Promise.withResolvers<void>();
    const upload = workspace.snapshots.ingest(slow(brought, rest));
    await brought.promise;
    await expect.poll(() => blobCount(scratch)).toBe(2);
    await workspace.store.prune(workFor([]));
    rest.resolve();
    const { digest } = await upload;
    expect(await workspace.snapshots.readFile(digest, 'first', 100)).toEqual(Buffer.from('first'));
    expect(fs.existsSync(join(attempt.upper, 'half'))).toBe(true);
  });

  test('what an open run may use without a record of it stays from when the run began', async () => {
    await using scratch = new Scratch();
    const workspace = await scratch.workspace();
    await leave(workspace, 'r-1', one);
    const flat = scratch.path('state/flat/0123');
    const cache = scratch.path('state/packages/caches/0123');
    for (const dir of [flat, cache]) fs.mkdirSync(dir, { recursive: true });
    const open = workFor([], { openSince: Date.now() - 10_000 });
    await workspace.store.prune(open);
    expect([fs.existsSync(flat), fs.existsSync(cache)]).toEqual([true, true]);
    expect(
      namesIn(scratch.path('state')).filter((name) => name.startsWith('snapshots/')),
    ).toHaveLength(1);
    await workspace.store.prune(workFor([]));
    expect([fs.existsSync(flat), fs.existsSync(cache)]).toEqual([false, false]);
  });

  test('a thing that somebody touches while it is taken goes back', async () => {
    await using scratch = new Scratch();
    const workspace = await scratch.workspace();
    const left = await leave(workspace, 'r-1', one);
    const dir = scratch.path('state/snapshots');
    const [name = ''] = fs.readdirSync(dir);
    const stat = fs.lstatSync(join(dir, name));
    // Between the look and the rename: what `freshen` does.
    fs.utimesSync(join(dir, name), Date.now() / 1000 + 60, stat.mtimeMs / 1000);
    const { Sweeper } = await import('#daemon/workspace/prune/sweeper.ts');
    const sweeper = new Sweeper(scratch.path('state/tmp/aside'));
    expect(sweeper.take(join(dir, name), stat, 'snapshots')).toBe(false);
    expect(sweeper.parts()).toEqual([]);
    await readAll(workspace, left);
  });
});

describe('what nobody needs', () => {
  test('goes whole: names, content, and what was taken out of layers to be shown', async () => {
    await using scratch = new Scratch();
    const workspace = await scratch.workspace();
    const left = await leave(workspace, 'r-1', { ...one, folders: [{ x: 'in a folder' }] });
    await readAll(workspace, left);
    const looked = await workspace.store.look(workFor([]));
    const gone = await workspace.store.prune(workFor([]));
    expect(gone).toEqual(looked);
    expect(namesIn(scratch.path('state'))).toEqual([]);
    await workspace.store.emptied();
    expect(fs.readdirSync(scratch.path('state/tmp'))).toEqual([]);
    expect(await workspace.store.prune(workFor([]))).toEqual([]);
  });

  test('a look removes nothing', async () => {
    await using scratch = new Scratch();
    const workspace = await scratch.workspace();
    const left = await leave(workspace, 'r-1', one);
    const before = namesIn(scratch.path('state'));
    expect((await workspace.store.look(workFor([]))).map(({ what }) => what)).toEqual([
      'snapshots',
      'layers',
      'blobs',
    ]);
    expect(namesIn(scratch.path('state'))).toEqual(before);
    await readAll(workspace, left);
  });

  test('a layer that lost its name in a crash is found', async () => {
    await using scratch = new Scratch();
    const workspace = await scratch.workspace();
    const { layers } = await leave(workspace, 'r-1', one);
    fs.unlinkSync(scratch.path(`state/layers/${layers[0]?.slice(7) ?? ''}`));
    await workspace.store.prune(workFor([]));
    expect(fs.readdirSync(scratch.path('state/l'))).toEqual([]);
  });

  test('a package goes with the last cache that has a name for it', async () => {
    await using scratch = new Scratch();
    const workspace = await scratch.workspace();
    const packages = scratch.path('state/packages');
    const content = 'content-v2/sha512/aa/bb/cc';
    for (const dir of ['store', 'caches/1/_cacache', 'caches/2/_cacache']) {
      fs.mkdirSync(join(packages, dir, 'content-v2/sha512/aa/bb'), { recursive: true });
    }
    fs.writeFileSync(join(packages, 'store', content), 'x'.repeat(10_000));
    for (const cache of ['1', '2']) {
      fs.linkSync(
        join(packages, 'store', content),
        join(packages, `caches/${cache}/_cacache`, content),
      );
    }
    fs.renameSync(join(packages, 'caches/2'), scratch.path('kept'));
    await workspace.store.prune(workFor([]));
    expect(fs.existsSync(join(packages, 'store', content))).toBe(true);
    expect(fs.readdirSync(join(packages, 'caches'))).toEqual([]);
    fs.renameSync(scratch.path('kept'), join(packages, 'caches/2'));
    await workspace.store.emptied();
    await workspace.store.prune(workFor([]));
    expect(fs.existsSync(join(packages, 'store', content))).toBe(false);
  });

  test('the bytes that are told are those that the disk gets back, each file once', async () => {
    await using scratch = new Scratch();
    const workspace = await scratch.workspace();
    const big = 'x'.repeat(100_000);
    const kept = await leave(workspace, 'r-1', { files: { a: big } });
    await leave(workspace, 'r-2', { files: { a: big, b: `${big}y` } });
    const parts = await workspace.store.look(workFor([kept]));
    const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
    expect(bytes).toBeGreaterThan(100_000);
    expect(bytes).toBeLessThan(160_000);
  });
});

test('each run weighs what it adds to those before it', async () => {
  await using scratch = new Scratch();
  const workspace = await scratch.workspace();
  const big = 'x'.repeat(100_000);
  const first = await leave(workspace, 'r-1', { files: { a: big } });
  const same = await leave(workspace, 'r-2', { files: { a: big, b: 'small' } });
  const layered = await leave(workspace, 'r-3', { files: { a: big }, layers: [{ c: `${big}z` }] });
  const [one = 0, two = 0, three = 0] = await workspace.store.weigh(
    [first, same, layered].map(rootsOf),
  );
  expect(one).toBeGreaterThanOrEqual(100_000);
  expect(two).toBeLessThan(20_000);
  expect(three).toBeGreaterThanOrEqual(100_000);
});

/** Few contents and few names, so that runs share most of what they have. */
const files = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2', '3'), {
  minKeys: 1,
});
const aRun = fc.record({
  files,
  layers: fc.array(files, { maxLength: 2 }),
  blobs: fc.array(fc.constantFrom('1', '2', 'p', 'q'), { maxLength: 2 }),
  folders: fc.array(files, { maxLength: 1 }),
  kept: fc.boolean(),
  shown: fc.boolean(),
});

test(
  'whichever runs are kept, and wherever it is cut off, what they reach is whole',
  { timeout: 60_000 },
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(aRun, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 1, max: 25 }),
        async (runs, cutAt) => {
          await using scratch = new Scratch();
          const workspace = await scratch.workspace();
          const left: Left[] = [];
          for (const [at, run] of runs.entries()) left.push(await leave(workspace, `r-${at}`, run));
          for (const [at, each] of left.entries())
            if (runs[at]?.shown) await readAll(workspace, each);
          const kept = left.filter((_each, at) => runs[at]?.kept);
          const stateDir = scratch.path('state');
          const work = { ...workFor(kept), stateDir };
          // A directory with something in it where the n-th thing would go: there it breaks off.
          const aside = join(stateDir, 'tmp/cut');
          fs.mkdirSync(join(aside, String(cutAt), 'x'), { recursive: true });
          try {
            prune({ ...work, aside });
          } catch (cause) {
            expect(['ENOTEMPTY', 'EEXIST', 'EISDIR', 'ENOTDIR']).toContain(
              (cause as NodeJS.ErrnoException).code,
            );
          }
          workspace.snapshots.forget();
          workspace.layers.forget();
          for (const each of kept) await readAll(workspace, each);
          fs.rmSync(aside, { recursive: true });
          await workspace.store.prune(workFor(kept));
          for (const each of kept) await readAll(workspace, each);
          // All the rest is gone: the same once more from nothing makes as much.
          await using fresh = new Scratch();
          const other = await fresh.workspace();
          for (const [at, run] of runs.entries()) if (run.kept) await leave(other, `r-${at}`, run);
          const inFresh = new Set(contentIn(fresh.path('state')));
          const extra = contentIn(stateDir).filter((name) => !inFresh.has(name));
          // What was shown of a kept layer has a name among the blobs, and takes no room.
          expect(extra.filter((name) => !isOfLayer(stateDir, name))).toEqual([]);
        },
      ),
      { numRuns: 30 },
    );
  },
);

test('a layer of nothing stays for whoever leaves nothing next', async () => {
  await using scratch = new Scratch();
  const workspace = await scratch.workspace();
  const { digest: snapshot } = await workspace.snapshots.ingest(frames({ a: 'one' }));
  const nothing = await sealed(workspace, snapshot, {});
  await workspace.store.prune(workFor([]));
  expect(await workspace.layers.has(nothing)).toBe(true);
});

const nothing = `layers/${layerDigest([]).slice('sha256:'.length)}`;

/** By digest: content that is kept is kept in every form that it has. */
function contentIn(stateDir: string): string[] {
  return namesIn(stateDir)
    .filter((name) => !name.startsWith('l/') && name !== nothing)
    .map((name) => name.replace(/\.[fx]$/, ''));
}

function isOfLayer(stateDir: string, name: string): boolean {
  const stat = fs.lstatSync(join(stateDir, name), { throwIfNoEntry: false });
  return name.startsWith('blobs/') && stat !== undefined && stat.nlink > 1;
}

/** More than is held back until more has come. */
const second = 'x'.repeat(3 << 20);

function blobCount(scratch: Scratch): number {
  return namesIn(scratch.path('state')).filter((name) => name.startsWith('blobs/')).length;
}

/** An upload that stops before its end until it is let go on. */
async function* slow(
  brought: PromiseWithResolvers<void>,
  rest: PromiseWithResolvers<void>,
): AsyncGenerator<Uint8Array, void> {
  const chunks = await Array.fromAsync(frames({ first: 'first', second }));
  yield* chunks.slice(0, 4);
  brought.resolve();
  await rest.promise;
  yield* chunks.slice(4);
}
