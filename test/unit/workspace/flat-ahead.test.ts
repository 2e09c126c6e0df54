import * as fs from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AncestorLayer } from '#daemon/workspace/layers.ts';
import { flattenedOf } from '#daemon/workspace/stack.ts';
import { Scratch } from './support.ts';

/** A chain of tasks, each of which leaves one file. */
async function chain(scratch: Scratch) {
  const dir = scratch.path('project');
  fs.mkdirSync(dir);
  fs.writeFileSync(join(dir, 'a'), 'a');
  const { digest: snapshot } = await scratch.snapshot(dir);
  const workspace = await scratch.workspace();
  const ancestors: AncestorLayer[] = [];
  const flats = (): string[] => {
    const root = scratch.path('state/flat');
    return fs.existsSync(root) ? fs.readdirSync(root) : [];
  };
  const grow = async (to: number) => {
    while (ancestors.length < to) {
      const n = ancestors.length;
      const deps = n === 0 ? [] : [`t${n - 1}`];
      const prepared = await workspace.layers.prepare({ snapshot, ancestors: [...ancestors] });
      fs.writeFileSync(join(prepared.upper, `f${n}`), `${n}`);
      const { digest } = await workspace.layers.seal(prepared);
      ancestors.push({ taskId: `t${n}`, layer: digest, deps });
    }
  };
  const limit = (ahead: boolean): number => {
    let n = 1;
    while (flattenedOf({ stateDir: scratch.path('state') }, { snapshot }, n, ahead) === 0) n += 1;
    return n;
  };
  return { workspace, snapshot, ancestors, flats, grow, limit };
}

test('the oldest layers of a chain are one tree before a task needs it, made once', async () => {
  await using scratch = new Scratch();
  const { workspace, snapshot, ancestors, flats, grow, limit } = await chain(scratch);
  expect(limit(true)).toBeLessThan(limit(false));
  await grow(limit(true));
  expect(flats()).toEqual([]);
  await grow(limit(true) + 1);
  await expect.poll(flats).toHaveLength(1);
  const [first = ''] = flats();
  const made = fs.statSync(scratch.path(`state/flat/${first}`)).ino;
  await grow(limit(false) + 1);
  const { lower } = await workspace.layers.prepare({ snapshot, ancestors: [...ancestors] });
  expect(lower.at(-1)).toBe(scratch.path(`state/flat/${first}`));
  expect(fs.statSync(lower.at(-1) ?? '').ino).toBe(made);
  expect(fs.readdirSync(lower.at(-1) ?? '').toSorted()).toContain('f31');
  expect(flats()).toEqual([first]);
});

test('who needs a tree that cannot be made ahead makes it, or says why', async () => {
  await using scratch = new Scratch();
  const { workspace, snapshot, ancestors, flats, grow, limit } = await chain(scratch);
  fs.writeFileSync(scratch.path('state/flat'), 'in the way');
  await grow(limit(true) + 1);
  await grow(limit(false));
  const stack = { snapshot, ancestors: [...ancestors] };
  await expect(workspace.layers.prepare(stack)).rejects.toThrow();
  fs.rmSync(scratch.path('state/flat'));
  const { lower } = await workspace.layers.prepare(stack);
  expect(lower.at(-1)).toBe(scratch.path(`state/flat/${flats()[0] ?? ''}`));
});

test('a workspace that is closed meanwhile waits for nobody and makes nothing more', async () => {
  await using scratch = new Scratch();
  const { flats, grow, limit } = await chain(scratch);
  await grow(limit(true));
  const last = grow(limit(true) + 1);
  await last;
  await scratch.close();
  const left = flats().length;
  expect(left).toBeLessThanOrEqual(1);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(flats()).toHaveLength(left);
});
