import * as fs from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Applied, applyChanges } from '#cli/workspace/apply.ts';
import { bytesOfText, isPathText, staysInside, textOfBytes } from '#contract/path-bytes.ts';
import type { Change, ChangeSet, TreeEntry } from '#contract/snapshot.ts';
import { compare } from '#daemon/workspace/changes.ts';
import { treeDigest } from '#daemon/workspace/manifest.ts';
import { Tree } from '#daemon/workspace/tree.ts';
import { Scratch } from './support.ts';

const nothing = `sha256:${'0'.repeat(64)}`;

class Setting {
  readonly scratch: Scratch;
  readonly mine: string;

  constructor(scratch: Scratch) {
    this.scratch = scratch;
    this.mine = scratch.path('mine');
  }

  /** The change set from one directory to another, and a copy of the first to apply it to. */
  async between(before: string, after: string): Promise<ChangeSet> {
    const { snapshots } = await this.scratch.workspace();
    const from = await this.scratch.snapshot(before);
    const to = await this.scratch.snapshot(after);
    const tree = async (digest: string) => Tree.of(await snapshots.entries(digest));
    fs.rmSync(this.mine, { recursive: true, force: true });
    copy(before, this.mine);
    return {
      snapshot: from.digest,
      items: compare(await tree(from.digest), await tree(to.digest)),
    };
  }

  async apply(changes: ChangeSet, check = false): Promise<Applied> {
    const { blobs } = await this.scratch.workspace();
    return applyChanges({
      workspace: this.mine,
      changes,
      check,
      blob: (digest) => blobs.open(digest),
    });
  }
}

function make(dir: string, files: Record<string, string>): string {
  fs.mkdirSync(dir, { recursive: true });
  for (const [path, text] of Object.entries(files)) {
    fs.mkdirSync(join(dir, path, '..'), { recursive: true });
    if (text.startsWith('->')) fs.symlinkSync(text.slice(2), join(dir, path));
    else fs.writeFileSync(join(dir, path), text, { mode: text.startsWith('#!') ? 0o755 : 0o644 });
  }
  return dir;
}

const copy = (from: string, to: string): void =>
  fs.cpSync(from, to, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });

/** All there is beneath a directory: what it is, whether it can be executed, and its content. */
function listing(dir: string): Record<string, string> {
  const one = (path: string): string => {
    const stat = fs.lstatSync(path);
    if (stat.isSymbolicLink()) return `-> ${fs.readlinkSync(path)}`;
    if (stat.isDirectory()) return 'directory';
    return `${stat.mode & 0o100} ${fs.readFileSync(path, 'latin1')}`;
  };
  const names = fs.readdirSync(dir, { recursive: true, encoding: 'utf8' }).toSorted();
  return Object.fromEntries(names.map((name) => [`/${name}`, one(join(dir, name))]));
}

const name = fc.constantFrom('a', 'b', 'c', 'line\nbreak', 'é', '__proto__', ' x');
const content = fc.constantFrom('', 'one', 'two', '#!/bin/sh', '->a', '->b');
const files = fc.dictionary(
  fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/')),
  content,
  { maxKeys: 8 },
);
/** A name cannot be a file and a directory at once. */
const treeOf = (all: Record<string, string>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(all).filter(([path]) => !Object.keys(all).some((p) => p.startsWith(`${path}/`))),
  );

test('applying the difference of two trees to the first gives the second', async () => {
  await using scratch = new Scratch();
  const setting = new Setting(scratch);
  let round = 0;
  await fc.assert(
    fc.asyncProperty(files.map(treeOf), files.map(treeOf), async (before, after) => {
      round += 1;
      const from = make(scratch.path(`from${round}`), before);
      const to = make(scratch.path(`to${round}`), after);
      const changes = await setting.between(from, to);
      const { leftOut } = await setting.apply(changes);
      const again = await setting.apply(changes);

      expect(leftOut).toEqual([]);
      expect(listing(setting.mine)).toEqual(listing(to));
      expect(again.applied).toEqual([]);
    }),
    { numRuns: 40 },
  );
});

const before = { 'a.txt': 'a', 'b.txt': 'b', 'src/x.ts': 'x', 'old/y': 'y' };
const after = { 'a.txt': 'A', 'src/x.ts': 'x', 'src/new.ts': 'new', 'run.sh': '#!/bin/sh' };

test.for<[string, (mine: string) => void, string]>([
  ['a changed file', (mine) => fs.writeFileSync(join(mine, 'a.txt'), 'mine'), 'a.txt'],
  ['a deleted file', (mine) => fs.rmSync(join(mine, 'a.txt')), 'a.txt'],
  ['a new file', (mine) => fs.writeFileSync(join(mine, 'run.sh'), 'mine'), 'run.sh'],
  ['a changed mode', (mine) => fs.chmodSync(join(mine, 'a.txt'), 0o755), 'a.txt'],
  [
    'a changed file that the run deleted',
    (mine) => fs.writeFileSync(join(mine, 'b.txt'), 'mine'),
    'b.txt',
  ],
  [
    'a directory turned into a link',
    (mine) => {
      fs.renameSync(join(mine, 'src'), join(mine, 'elsewhere'));
      fs.symlinkSync('elsewhere', join(mine, 'src'));
    },
    'src/new.ts',
  ],
])(
  '%s in the user’s directory is a conflict and nothing at all is written',
  async ([, meddle, path]) => {
    await using scratch = new Scratch();
    const setting = new Setting(scratch);
    const changes = await setting.between(
      make(scratch.path('from'), before),
      make(scratch.path('to'), after),
    );
    meddle(setting.mine);
    copy(setting.mine, scratch.path('kept'));
    const failure = await setting.apply(changes).catch((cause: unknown) => cause);

    expect(failure).toMatchObject({ code: 'workspace.conflict' });
    expect((failure as { places: { file: string }[] }).places.map((place) => place.file)).toContain(
      path,
    );
    expect(listing(setting.mine)).toEqual(listing(scratch.path('kept')));
  },
);

test('checking says what would be done and writes nothing', async () => {
  await using scratch = new Scratch();
  const setting = new Setting(scratch);
  const from = make(scratch.path('from'), before);
  const changes = await setting.between(from, make(scratch.path('to'), after));
  const { applied } = await setting.apply(changes, true);

  expect(applied.map(({ path }) => path)).toEqual([
    'a.txt',
    'b.txt',
    'old',
    'old/y',
    'run.sh',
    'src/new.ts',
  ]);
  expect(listing(setting.mine)).toEqual(listing(from));
});

test('what the user’s directory has beside the changes stays', async () => {
  await using scratch = new Scratch();
  const setting = new Setting(scratch);
  const changes = await setting.between(
    make(scratch.path('from'), before),
    make(scratch.path('to'), after),
  );
  fs.writeFileSync(join(setting.mine, 'old/mine'), 'mine');
  fs.writeFileSync(join(setting.mine, 'notes'), 'mine');
  const { leftOut } = await setting.apply(changes);

  expect(leftOut).toEqual([{ path: 'old', reason: 'directory is not empty here' }]);
  expect(fs.readdirSync(join(setting.mine, 'old'))).toEqual(['mine']);
  expect(fs.readFileSync(join(setting.mine, 'notes'), 'utf8')).toBe('mine');
  expect(fs.readdirSync(setting.mine).filter((each) => each.startsWith('.orchestra'))).toEqual([]);
});

test('content that comes damaged stops it before anything is written', async () => {
  await using scratch = new Scratch();
  const setting = new Setting(scratch);
  const from = make(scratch.path('from'), before);
  const changes = await setting.between(from, make(scratch.path('to'), after));
  async function* wrong(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('?');
  }
  const applying = applyChanges({
    workspace: setting.mine,
    changes,
    blob: () => Promise.resolve(wrong()),
  });

  await expect(applying).rejects.toMatchObject({ code: 'blob.damaged' });
  expect(listing(setting.mine)).toEqual(listing(from));
});

test('hooks for the user’s git, links that lead out and ignored paths are never written', async () => {
  await using scratch = new Scratch();
  const setting = new Setting(scratch);
  make(setting.mine, {
    '.gitignore': 'node_modules\n',
    '.git/HEAD': 'ref',
    'sub/.gitignore': 'dist\n',
  });
  const { blobs } = await scratch.workspace();
  const { digest, bytes } = await blobs.put(Buffer.from('evil'), { maxBytes: 10 });
  const file = (path: string): TreeEntry => ({
    type: 'file',
    path,
    executable: true,
    bytes,
    digest,
  });
  const dir = (path: string): TreeEntry => ({ type: 'dir', path });
  const entries = [
    file('.git/hooks-x'),
    dir('.git/hooks'),
    file('.GIT/config'),
    dir('node_modules'),
    file('node_modules/evil.js'),
    file('sub/dist'),
    { type: 'symlink' as const, path: 'out', target: '/etc/passwd' },
    { type: 'symlink' as const, path: 'sub/up', target: '../../x' },
  ];
  const items = entries.map((entry): Change => ({
    path: entry.path,
    change: 'added',
    after: entry,
  }));
  const { applied, leftOut } = await setting.apply({ snapshot: nothing, items });

  expect(applied).toEqual([]);
  expect(leftOut).toHaveLength(entries.length);
  expect(fs.readdirSync(setting.mine).toSorted()).toEqual(['.git', '.gitignore', 'sub']);
  expect(fs.readdirSync(join(setting.mine, '.git'))).toEqual(['HEAD']);
});

const byteString = fc
  .uint8Array({ minLength: 1, maxLength: 12 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'))
  .filter((bytes) => !bytes.includes('\0'));

test('every name of bytes has one text and comes back from it', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        byteString,
        fc.string({ unit: 'grapheme', minLength: 1 }).map((s) => Buffer.from(s).toString('latin1')),
      ),
      (bytes) => {
        fc.pre(!bytes.includes('\0'));
        expect(bytesOfText(textOfBytes(bytes))).toBe(bytes);
      },
    ),
  );
});

test('no accepted path text leads anywhere but beneath, and no two name the same bytes', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('/', '.', 'a', '\\', '\0', '\ud800', 'é') }),
      (text) => {
        fc.pre(isPathText(text));
        expect(text.split('/').some((part) => part === '..' || part === '.' || part === '')).toBe(
          false,
        );
        expect(textOfBytes(bytesOfText(text))).toBe(text);
      },
    ),
  );
});

test.each([
  ['l', '..', false],
  ['d/l', '..', true],
  ['d/l', '../..', false],
  ['l', '/x', false],
  ['l', '', false],
  ['l', 'a/../..', false],
  ['l', 'a/..', true],
])('a link at %s to %s stays inside: %s', (path, target, inside) => {
  expect(staysInside(path, target)).toBe(inside);
});

test('the digest of a tree does not depend on the order of its entries', () => {
  const entry = fc.record({
    path: byteString.map((b) => textOfBytes(`p${b.replaceAll('/', '_')}`)),
    executable: fc.boolean(),
  });
  fc.assert(
    fc.property(
      fc.uniqueArray(entry, { selector: (e) => e.path }),
      fc.infiniteStream(fc.nat()),
      (list, order) => {
        const entries = list.map((e): TreeEntry => ({
          type: 'file',
          bytes: 0,
          digest: nothing,
          ...e,
        }));
        const shuffled = entries
          .map((e) => ({ e, k: order.next().value as number }))
          .sort((a, b) => a.k - b.k)
          .map(({ e }) => e);
        expect(treeDigest(shuffled)).toBe(treeDigest(entries));
      },
    ),
  );
});
