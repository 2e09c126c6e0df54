import { expect, test } from 'vitest';
import type { Digest } from '#contract/ids.ts';
import { readAction, type ActionFacts } from '#daemon/runs/cache/action.ts';
import { TaskCache } from '#daemon/runs/cache/task-cache.ts';
import type { Workspace } from '#daemon/workspace/open.ts';
import { layerSealed, note, someDigest, taskFinished } from '#test/support/records.ts';
import { Scratch } from '../../workspace/support.ts';

const facts: ActionFacts = {
  version: 1,
  command: ['npm', 'test'],
  env: {},
  cwd: '/workspace',
  image: someDigest('a'),
  user: { uid: 1000, gid: 1000 },
  runtime: 'runc',
  filter: 'builtin',
  limits: { cpuMilli: 1, memoryBytes: 1, pids: 1, openFiles: 1, fileSizeBytes: 1, tmpBytes: 1 },
  snapshot: someDigest('1'),
  layers: [],
  outputs: [],
};
const reuse = { mayReuse: true, signal: new AbortController().signal };
const build = { obj: { task: 'build' } };

async function emptyLayerOf(scratch: Scratch, workspace: Workspace): Promise<Digest> {
  const { digest: snapshot } = await scratch.snapshot(scratch.root);
  const prepared = await workspace.layers.prepare({ snapshot, ancestors: [] });
  return (await workspace.layers.seal(prepared)).digest;
}

/** As a task that ran would have it recorded. */
function record(cache: TaskCache, action: Digest, layer: Digest, outcome: 'succeeded' | 'failed') {
  const sealed = layerSealed('build', '7');
  cache.fold(note('task.started', { attempt: 1, spec: someDigest('2'), action }, build));
  if (outcome === 'succeeded') {
    cache.fold({ ...sealed, data: { ...sealed.data, layer } } as typeof sealed);
  }
  cache.fold(taskFinished('build', outcome));
}

test('of two equal tasks at once the second waits and finds what the first left', async () => {
  await using scratch = new Scratch();
  const workspace = await scratch.workspace();
  const layer = await emptyLayerOf(scratch, workspace);
  const cache = new TaskCache({ workspace });
  const first = await cache.ask(facts, reuse);
  expect(first.hit).toBeUndefined();
  const second = cache.ask(facts, reuse);
  record(cache, first.action, layer, 'succeeded');
  first[Symbol.dispose]();
  using found = await second;
  expect(found.hit).toMatchObject({ task: 'build', layer });
});

test('where the first fails the second runs itself', async () => {
  await using scratch = new Scratch();
  const workspace = await scratch.workspace();
  const cache = new TaskCache({ workspace });
  const first = await cache.ask(facts, reuse);
  const second = cache.ask(facts, reuse);
  record(cache, first.action, someDigest('7'), 'failed');
  first[Symbol.dispose]();
  using found = await second;
  expect(found.hit).toBeUndefined();
});

test('who may not reuse anything waits for nobody and finds nothing', async () => {
  await using scratch = new Scratch();
  const workspace = await scratch.workspace();
  const layer = await emptyLayerOf(scratch, workspace);
  const cache = new TaskCache({ workspace });
  using first = await cache.ask(facts, reuse);
  record(cache, first.action, layer, 'succeeded');
  using second = await cache.ask(facts, { ...reuse, mayReuse: false });
  expect(second).toMatchObject({ action: first.action, hit: undefined });
});

test('a result that is broken is told with the reason, and the next may run', async () => {
  await using scratch = new Scratch();
  const workspace = await scratch.workspace();
  const cache = new TaskCache({ workspace });
  const first = await cache.ask(facts, reuse);
  record(cache, first.action, someDigest('7'), 'succeeded');
  first[Symbol.dispose]();
  using second = await cache.ask(facts, reuse);
  expect(second).toMatchObject({ hit: undefined, broken: 'r-0000000000/build: its layer is gone' });
});

test('who is stopped while it waits holds nothing', async () => {
  await using scratch = new Scratch();
  const cache = new TaskCache({ workspace: await scratch.workspace() });
  const first = await cache.ask(facts, reuse);
  const controller = new AbortController();
  const second = cache.ask(facts, { mayReuse: true, signal: controller.signal });
  controller.abort(new Error('stopped'));
  await expect(second).rejects.toThrow('stopped');
  first[Symbol.dispose]();
  using third = await cache.ask(facts, reuse);
  expect(third.hit).toBeUndefined();
});

test('what it depended on is kept under its key', async () => {
  await using scratch = new Scratch();
  const workspace = await scratch.workspace();
  using asked = await new TaskCache({ workspace }).ask(facts, reuse);
  await expect.poll(() => workspace.blobs.has(asked.action)).toBe(true);
  expect(readAction(await workspace.blobs.read(asked.action, { maxBytes: 10_000 }))).toEqual(facts);
});
