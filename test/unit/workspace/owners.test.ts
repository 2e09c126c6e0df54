import {
  lchownSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openWorkspace } from '#daemon/workspace/open.ts';
import { isRoot, Scratch } from './support.ts';

// Only root can give files away.
describe.skipIf(!isRoot)('another user than last time (needs root)', () => {
  test('what a snapshot and a sealed layer hold is given to them, and nothing else', async () => {
    await using scratch = new Scratch();
    const { layer, outside, snapshot, state } = await filled(scratch);
    const own = ['', 'blobs', 'snapshots', 'l', 'layers'].map((name) => join(state, name));
    await (await open(state, 301_000)).close();
    for (const name of ['', 'a', 'a/b', 'link']) {
      expect(owner(join(snapshot, name))).toBe(301_000);
    }
    expect(owner(join(layer, 'd/made'))).toBe(301_000);
    expect([owner(outside), ...own.map(owner)]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(owner(join(layer, 'd/of-root'))).toBe(0);
  });

  test('a start that was cut off is made good by the next, for whomever that is', async () => {
    await using scratch = new Scratch();
    const { layer, snapshot, state } = await filled(scratch);
    // As a start leaves it that was killed: some given, some not, the note with both.
    await (await open(state, 301_000)).close();
    writeFileSync(join(state, 'owner.json'), '[[1000,1000],[301000,301000]]');
    writeFileSync(join(layer, 'd/late'), '');
    chown(join(layer, 'd/late'), 1000);
    await (await open(state, 401_000)).close();
    for (const path of [join(layer, 'd/late'), join(layer, 'd/made'), join(snapshot, 'a')]) {
      expect(owner(path)).toBe(401_000);
    }
    expect(readFileSync(join(state, 'owner.json'), 'utf8')).toBe('[[401000,401000]]\n');
  });

  test('a state from before there was a note is known by its snapshots', async () => {
    await using scratch = new Scratch();
    const { snapshot, state } = await filled(scratch);
    rmSync(join(state, 'owner.json'));
    await (await open(state, 301_000)).close();
    expect(owner(join(snapshot, 'a/b'))).toBe(301_000);
  });

  test('a note that cannot be read stops the start, and nothing is given', async () => {
    await using scratch = new Scratch();
    const { snapshot, state } = await filled(scratch);
    writeFileSync(join(state, 'owner.json'), '[["root"]]');
    await expect(open(state, 301_000)).rejects.toThrow('note');
    expect(owner(join(snapshot, 'a'))).toBe(1000);
  });
});

/** A snapshot and a sealed layer of user 1000, which also points outside. */
async function filled(scratch: Scratch) {
  const outside = scratch.path('outside');
  writeFileSync(outside, '');
  const work = scratch.path('work');
  mkdirSync(join(work, 'a'), { recursive: true });
  writeFileSync(join(work, 'a/b'), 'text');
  symlinkSync('a/b', join(work, 'link'));
  const { digest } = await scratch.snapshot(work);
  const { layers } = await scratch.workspace();
  const prepared = await layers.prepare({ snapshot: digest, ancestors: [] });
  const made = join(prepared.upper, 'd');
  mkdirSync(made);
  writeFileSync(join(made, 'made'), '');
  writeFileSync(join(made, 'of-root'), '');
  symlinkSync(outside, join(made, 'out'));
  for (const path of [made, join(made, 'made'), join(made, 'out')]) chown(path, 1000);
  await layers.seal(prepared);
  await scratch.close();
  const state = scratch.path('state');
  const snapshot = join(state, 'snapshots', digest.slice('sha256:'.length), 'tree');
  return { outside, state, snapshot, layer: prepared.upper };
}

async function open(stateDir: string, user: number) {
  return openWorkspace({ stateDir, sandboxUid: user, sandboxGid: user, trashQuietMs: 0 });
}

const chown = (path: string, id: number) => lchownSync(path, id, id);

const owner = (path: string) => lstatSync(path).uid;
