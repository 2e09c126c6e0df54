import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openXattrs } from '#daemon/artifacts/xattr.ts';
import type { AncestorLayer, SealedLayer } from '#daemon/workspace/layers.ts';
import { Bench, inOverlay, overlays, overlayTest, script } from './overlay.ts';
import { Scratch } from './support.ts';

if (!overlays) test.skip('overlay mounts need root and a kernel that allows them');

overlayTest('a layer holds what a task added, changed and deleted, and nothing else', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  const sealed = await bench.task(
    't',
    [],
    'echo new > new.txt; echo more >> a.txt; rm b.txt link; rm -r src/old; mkdir src/old; echo 3 > src/old/three; chmod +x new.txt',
  );

  expect(sealed.changes).toEqual({ added: 2, modified: 2, deleted: 2 });
  expect(sealed.leftOut).toEqual([]);
  expect(await bench.changes()).toEqual([
    'modified a.txt',
    'deleted b.txt',
    'deleted link',
    'added new.txt',
    'deleted src/old/one',
    'added src/old/three',
    'deleted src/old/two',
  ]);
});

overlayTest(
  'the same changes give the same layer, whenever and in whatever order they were made',
  async () => {
    await using scratch = new Scratch();
    const bench = await Bench.open(scratch);
    const one = await bench.task('x', [], 'mkdir d; echo 1 > d/1; echo 2 > d/2; echo z > a.txt');
    const two = await bench.task(
      'y',
      [],
      'echo z > a.txt; mkdir d; echo 2 > d/2; umask 077; echo 1 > d/1; touch -d 2001-01-01 d/2',
    );

    expect(two.digest).toBe(one.digest);
    // Two attempts, one directory kept.
    expect(fs.readdirSync(scratch.path('state/l'))).toHaveLength(1);
  },
);

overlayTest(
  'writing back what was there is no change, so it cannot hide what a sibling changed',
  async () => {
    await using scratch = new Scratch();
    const bench = await Bench.open(scratch);
    const idle = await bench.task(
      'idle',
      [],
      'cp a.txt /tmp/orc-$$; cat /tmp/orc-$$ > a.txt; rm /tmp/orc-$$; touch b.txt; chmod 700 src',
    );
    await bench.task('busy', [], 'echo changed > a.txt');
    const seen = await bench.workspace.layers.prepare({
      snapshot: bench.snapshot,
      ancestors: bench.ancestors,
    });

    expect(idle.entries).toBe(0);
    expect(inOverlay(seen, scratch.path('m'), script('cat a.txt'))).toBe('changed\n');
  },
);

overlayTest('new directories of siblings merge', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  await bench.task('x', [], 'mkdir -p dist/x; echo x > dist/x/f; echo same > dist/same');
  await bench.task('y', [], 'mkdir -p dist/y; echo y > dist/y/f; echo same > dist/same');
  const seen = await bench.workspace.layers.prepare({
    snapshot: bench.snapshot,
    ancestors: bench.ancestors,
  });

  expect(inOverlay(seen, scratch.path('m'), script('find dist -type f | sort'))).toBe(
    'dist/same\ndist/x/f\ndist/y/f\n',
  );
});

overlayTest.for<[string, string, string, string]>([
  ['a file', 'echo x > a.txt', 'echo y > a.txt', 'a.txt'],
  ['a deleted and a changed file', 'rm a.txt', 'echo y > a.txt', 'a.txt'],
  ['the executable bit', 'echo x > n', 'echo x > n; chmod +x n', 'n'],
  ['a file and a directory of one name', 'echo x > n', 'mkdir n', 'n'],
  ['a link target', 'ln -s a n', 'ln -s b n', 'n'],
  [
    'a file in a directory that the other deleted',
    'rm -r src/old',
    'echo y > src/old/one',
    'src/old/one',
  ],
  [
    'a file in a directory that the other made anew',
    'rm -r src/old; mkdir src/old',
    'echo y > src/old/new',
    'src/old/new',
  ],
  [
    'two directories made anew',
    'rm -r src/old; mkdir src/old; echo > src/old/x',
    'rm -r src/old; mkdir src/old; echo > src/old/y',
    'src/old/x',
  ],
])('siblings that changed %s differently are a conflict that names it', async ([, x, y, path]) => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  await bench.task('x', [], x);
  await bench.task('y', [], y);
  const both = bench.workspace.layers.prepare({
    snapshot: bench.snapshot,
    ancestors: bench.ancestors,
  });
  const places = await both.then(
    () => [],
    (cause: { code: string; places: { pointer: string }[] }) => [
      cause.code,
      ...cause.places.map((p) => p.pointer),
    ],
  );

  expect(places).toContain('workspace.conflict');
  expect(places).toContain(path);
  // Nothing is left of the refused attempt.
  expect(fs.readdirSync(scratch.path('state/l')).toSorted()).toEqual(
    [
      ...new Set(
        bench.ancestors.map((a) =>
          fs.readlinkSync(scratch.path(`state/layers/${a.layer.slice(7)}`)).slice(5),
        ),
      ),
    ].toSorted(),
  );
});

overlayTest('a task that waited for another may change the same path', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  await bench.task('x', [], 'echo x > a.txt; mkdir out; echo 1 > out/f');
  await bench.task('y', ['x'], 'echo y > a.txt; rm -r out; mkdir out; echo 2 > out/g');
  await bench.task('side', [], 'echo s > side');
  const seen = await bench.workspace.layers.prepare({
    snapshot: bench.snapshot,
    ancestors: bench.ancestors,
  });

  expect(inOverlay(seen, scratch.path('m'), script('cat a.txt side; ls out'))).toBe('y\ns\ng\n');
  expect(await bench.changes()).toEqual([
    'modified a.txt',
    'added out',
    'added out/g',
    'added side',
  ]);
});

overlayTest('a hundred and fifty layers fit into one mount and look the same', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  const first = await bench.task('t0', [], 'mkdir n; echo 0 > n/0; rm b.txt');
  for (let i = 1; i < 150; i += 1) {
    // Sealing what a task wrote is measured elsewhere; here the number of layers counts.
    const stack = { snapshot: bench.snapshot, ancestors: [...bench.ancestors] };
    const prepared = await bench.workspace.layers.prepare(stack);
    expect(prepared.options.length).toBeLessThan(4096);
    fs.mkdirSync(join(prepared.upper, 'n'));
    fs.writeFileSync(join(prepared.upper, 'n', String(i)), String(i));
    const { digest } = await bench.workspace.layers.seal(prepared);
    bench.ancestors.push({ taskId: `t${i}`, layer: digest, deps: [`t${i - 1}`] });
  }
  const last = await bench.workspace.layers.prepare({
    snapshot: bench.snapshot,
    ancestors: bench.ancestors,
  });

  expect(first.entries).toBe(3);
  expect(last.lower.length).toBeLessThan(150);
  expect(inOverlay(last, scratch.path('m'), script('ls n | wc -l; ls; cat a.txt'))).toBe(
    '150\na.txt\nlink\nn\nsrc\na\n',
  );
});

overlayTest(
  'special files, set-id bits and closed directories of a hostile task are disarmed',
  async () => {
    await using scratch = new Scratch();
    const bench = await Bench.open(scratch);
    const ancestors: AncestorLayer[] = [];
    const { layers } = bench.workspace;
    const prepared = await layers.prepare({ snapshot: bench.snapshot, ancestors });
    await new Promise<void>((resolve) => {
      const server = createServer().listen(join(prepared.upper, 'sock'), () =>
        server.close(() => resolve()),
      );
    });
    inOverlay(
      prepared,
      scratch.path('m'),
      script(
        'mkfifo pipe; cp /bin/true s; chmod 6755 s; mkdir shut; echo x > shut/f; chmod 0 shut/f shut; ln -s /etc/passwd out; ln out hard',
      ),
    );
    const sealed = await layers.seal(prepared);
    const upper = scratch.path(`state/l/${prepared.id}/u`);

    expect(sealed.leftOut).toContainEqual({ path: 'pipe', reason: 'fifo' });
    expect(fs.statSync(join(upper, 's')).mode & 0o7777).toBe(0o755);
    expect(fs.statSync(join(upper, 'shut')).mode & 0o7777).toBe(0o755);
    expect(fs.readlinkSync(join(upper, 'out'))).toBe('/etc/passwd');
    expect(fs.existsSync(join(upper, 'pipe'))).toBe(false);
  },
);

overlayTest(
  'what a task writes into attributes does not leave its layer, and is said',
  async () => {
    await using scratch = new Scratch();
    const bench = await Bench.open(scratch);
    const { layers } = bench.workspace;
    const xattrs = openXattrs();
    const prepared = await layers.prepare({ snapshot: bench.snapshot, ancestors: [] });
    const planted = ['user.note', 'user.overlay.redirect', 'user.overlay.opaque'];
    inOverlay(prepared, scratch.path('m'), (at) => {
      script('mkdir new; echo x > new/f; echo y >> a.txt')(at);
      for (const path of ['.', 'src', 'new', 'new/f', 'a.txt']) {
        for (const name of planted) {
          // Kernels before 6.7 refuse the overlay's own names, later ones put them aside.
          try {
            xattrs.set(join(at, path), name, 'y');
          } catch {
            expect(name).not.toBe('user.note');
          }
        }
      }
    });
    const sealed = await layers.seal(prepared);
    const upper = scratch.path(`state/l/${prepared.id}/u`);
    const paths = ['.', 'src', 'new', 'new/f', 'a.txt'];
    expect(paths.flatMap((path) => xattrs.list(join(upper, path)))).toEqual([]);
    expect(sealed.leftOut).toEqual(
      expect.arrayContaining(paths.map((path) => ({ path, reason: 'attribute' }))),
    );
    expect(sealed.leftOutCount).toBe(5);

    const next = await layers.prepare({
      snapshot: bench.snapshot,
      ancestors: [{ taskId: 'one', layer: sealed.digest, deps: [] }],
    });
    inOverlay(next, scratch.path('m'), (at) => {
      expect(paths.flatMap((path) => xattrs.list(join(at, path)))).toEqual([]);
    });
  },
);

// As on a kernel or file system that let a task write them: nothing of it survives the seal.
test.skipIf(!overlays)(
  'a layer cannot hide, redirect or borrow files by the overlay’s own attributes',
  async () => {
    await using scratch = new Scratch();
    const bench = await Bench.open(scratch);
    const { layers } = bench.workspace;
    const xattrs = openXattrs();
    const prepared = await layers.prepare({ snapshot: bench.snapshot, ancestors: [] });
    const at = (path: string) => join(prepared.upper, path);
    fs.mkdirSync(at('src'));
    fs.mkdirSync(at('moved'));
    fs.writeFileSync(at('src/old'), '');
    fs.writeFileSync(at('borrowed'), '');
    xattrs.set(at('src'), 'user.overlay.opaque', 'x');
    xattrs.set(at('src/old'), 'user.overlay.whiteout', 'y');
    xattrs.set(at('moved'), 'user.overlay.redirect', '/src');
    xattrs.set(at('borrowed'), 'user.overlay.metacopy', '');
    xattrs.set(at('borrowed'), 'user.overlay.redirect', '/a.txt');
    const sealed = await layers.seal(prepared);
    const left = ['.', 'src', 'src/old', 'moved', 'borrowed'].flatMap((path) =>
      xattrs.list(at(path)),
    );
    expect(left).toEqual([]);
    const next = await layers.prepare({
      snapshot: bench.snapshot,
      ancestors: [{ taskId: 'one', layer: sealed.digest, deps: [] }],
    });
    // What the manifest says is what is seen: an empty file, an empty directory, nothing borrowed.
    expect(
      inOverlay(next, scratch.path('m'), script('ls src moved; wc -c < borrowed; wc -c < src/old')),
    ).toBe('moved:\n\nsrc:\nold\n0\n0\n');
  },
);

test('a planted link is taken as a link: nothing behind it is read, chmodded or removed', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  const secret = scratch.path('secret');
  fs.mkdirSync(secret);
  fs.writeFileSync(join(secret, 'key'), 'top secret', { mode: 0o600 });
  const { layers } = bench.workspace;
  const prepared = await layers.prepare({ snapshot: bench.snapshot, ancestors: [] });
  fs.symlinkSync(secret, join(prepared.upper, 'dir'));
  fs.symlinkSync(join(secret, 'key'), join(prepared.upper, 'file'));
  const sealed = await layers.seal(prepared);
  await layers.drop(prepared);

  expect(sealed.entries).toBe(2);
  expect(fs.statSync(join(secret, 'key')).mode & 0o777).toBe(0o600);
  expect(fs.readdirSync(secret)).toEqual(['key']);
});

test('directories deeper than any path may be long are refused by seal and removed by drop', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  const { layers } = bench.workspace;
  const prepared = await layers.prepare({ snapshot: bench.snapshot, ancestors: [] });
  // Thirty at a time: more have no path.
  const some = Array.from({ length: 30 }, () => 'd'.repeat(100)).join('/');
  const deeper = `mkdir -p ${some}; cd -P ${some} 2>/dev/null || cd ./${some}`;
  execFileSync('sh', [
    '-ec',
    `cd ${prepared.upper}; for i in 1 2 3 4 5 6 7 8 9 10; do ${deeper}; done`,
  ]);

  await expect(layers.seal(prepared)).rejects.toMatchObject({ code: 'workspace.too_large' });
  await layers.drop(prepared);
  await layers.drop(prepared);
  expect(fs.readdirSync(scratch.path('state/l'))).toEqual([]);
  await expect.poll(() => fs.readdirSync(scratch.path('state/tmp'))).toEqual([]);
});

test('a dropped attempt leaves nothing and an unknown snapshot or layer is refused', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  const { layers } = bench.workspace;
  const nowhere = `sha256:${'0'.repeat(64)}`;
  const prepared = await layers.prepare({ snapshot: bench.snapshot, ancestors: [] });
  fs.writeFileSync(join(prepared.upper, 'x'), 'x');
  await layers.drop(prepared);

  await expect(layers.prepare({ snapshot: nowhere, ancestors: [] })).rejects.toMatchObject({
    code: 'snapshot.unknown',
  });
  const ancestors = [{ taskId: 't', layer: nowhere, deps: [] }];
  await expect(layers.prepare({ snapshot: bench.snapshot, ancestors })).rejects.toMatchObject({
    code: 'snapshot.unknown',
  });
  expect(await layers.has(nowhere)).toBe(false);
  expect(fs.readdirSync(scratch.path('state/l'))).toEqual([]);
});

test.each([
  ['the same file', true],
  ['nothing at all', false],
])('of equal layers one directory is kept, and the other leaves nothing: %s', async (_, isMade) => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  const { layers } = bench.workspace;
  const stack = { snapshot: bench.snapshot, ancestors: [] };
  const sealed: SealedLayer[] = [];
  for (let i = 0; i < 2; i += 1) {
    const prepared = await layers.prepare(stack);
    if (isMade) fs.writeFileSync(join(prepared.upper, 'made'), 'the same\n');
    sealed.push(await layers.seal(prepared));
  }

  expect(sealed[1]).toEqual(sealed[0]);
  expect(sealed[0]?.entries).toBe(isMade ? 1 : 0);
  expect(await layers.has(sealed[0]?.digest ?? '')).toBe(true);
  expect(fs.readdirSync(scratch.path('state/l'))).toHaveLength(1);
  await expect.poll(() => fs.readdirSync(scratch.path('state/tmp'))).toEqual([]);
});

test('whatever a change set names can be read from the blobs, and is hashed again then', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  const { layers, blobs } = bench.workspace;
  const prepared = await layers.prepare({ snapshot: bench.snapshot, ancestors: [] });
  fs.writeFileSync(join(prepared.upper, 'good'), 'good\n');
  fs.writeFileSync(join(prepared.upper, 'spoilt'), 'spoilt\n');
  fs.writeFileSync(join(prepared.upper, 'gone'), 'gone\n');
  const { digest } = await layers.seal(prepared);
  fs.writeFileSync(join(prepared.upper, 'spoilt'), 'other\n');
  fs.unlinkSync(join(prepared.upper, 'gone'));

  const { items } = await layers.changes(bench.snapshot, [digest]);

  const contents = items.map(async ({ path, after }) => {
    if (after?.type !== 'file') throw new Error(`${path} is no file`);
    return [path, (await blobs.read(after.digest, { maxBytes: 100 })).toString()];
  });
  expect(await Promise.allSettled(contents)).toMatchObject([
    { reason: { code: 'blob.unknown' } },
    { value: ['good', 'good\n'] },
    { reason: { code: 'blob.damaged' } },
  ]);
});

test('a manifest that was meddled with is refused, not believed', async () => {
  await using scratch = new Scratch();
  const bench = await Bench.open(scratch);
  const path = scratch.path(`state/snapshots/${bench.snapshot.slice(7)}/manifest.json`);
  fs.writeFileSync(path, fs.readFileSync(path, 'utf8').replace('a.txt', 'c.txt'));

  await expect(bench.workspace.snapshots.entries(bench.snapshot)).rejects.toMatchObject({
    code: 'blob.damaged',
  });
});
