import { expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { AnyRecord } from '#contract/records.ts';
import type { LayerEntry, TreeEntry } from '#contract/snapshot.ts';
import { actionOf, type ActionFacts } from '#daemon/runs/cache/action.ts';
import { explainChange } from '#daemon/runs/cache/explain-change.ts';
import { RunStates } from '#daemon/runs/state.ts';
import {
  layerSealed,
  note,
  runClosed,
  someDigest,
  submitted,
  taskFinished,
} from '#test/support/records.ts';

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
const plain = { id: 'test', secrets: [] };
const file = (digit: string): TreeEntry => ({
  type: 'file',
  path: 'src/a.ts',
  executable: false,
  bytes: 1,
  digest: someDigest(digit),
});

/** Runs of one workspace, and what is kept of what they depended on. */
class History {
  readonly states = new RunStates();
  readonly blobs = new Map<Digest, Buffer>();
  readonly trees = new Map<Digest, LayerEntry[]>();

  run(
    id: string,
    change: Partial<ActionFacts> | 'no action' = {},
    more: { workspace?: string; cache?: boolean; outcome?: 'succeeded' | 'failed' } = {},
  ): this {
    const { outcome = 'succeeded', ...said } = more;
    const { action, bytes } = actionOf({ ...facts, ...(change === 'no action' ? {} : change) });
    if (change !== 'no action') this.blobs.set(action, bytes);
    const first = submitted(id);
    const at = { run: id, obj: { task: 'test' } };
    const records: AnyRecord[] = [
      { ...first, data: { ...first.data, ...said } } as AnyRecord,
      note(
        'task.started',
        { attempt: 1, spec: someDigest('2'), ...(change === 'no action' ? {} : { action }) },
        at,
      ),
      { ...layerSealed('test', '7'), run: id },
      { ...taskFinished('test', outcome), run: id },
      runClosed(outcome, id),
    ];
    for (const record of records) this.states.fold(record);
    return this;
  }

  async why(
    id: string,
    task: Parameters<typeof explainChange>[2] = plain,
  ): ReturnType<typeof explainChange> {
    const read = <T>(map: Map<Digest, T>, digest: Digest): T => {
      const found = map.get(digest);
      if (found === undefined) throw new OrchestraError('blob.unknown', 'gone');
      return found;
    };
    const run = this.states.find(id);
    if (run === undefined) throw new Error('no such run');
    return explainChange(
      {
        states: this.states,
        blobs: { read: async (digest) => read(this.blobs, digest) },
        workspace: {
          snapshots: { entries: async (digest) => read(this.trees, digest) as TreeEntry[] },
          layers: { entries: (digest) => read(this.trees, digest) },
        },
      },
      run,
      task,
    );
  }
}

test('nobody did it before: there is nothing to explain', async () => {
  expect(await new History().run('r-1').why('r-1')).toBeUndefined();
  expect(
    await new History().run('r-1', {}, { workspace: 'other' }).run('r-2').why('r-2'),
  ).toBeUndefined();
  expect(
    await new History().run('r-1', {}, { outcome: 'failed' }).run('r-2').why('r-2'),
  ).toBeUndefined();
});

test('the file that changed is named, and since when', async () => {
  const history = new History().run('r-1').run('r-2', { snapshot: someDigest('9') });
  history.trees.set(someDigest('1'), [file('0')]).set(someDigest('9'), [file('1')]);
  expect(await history.why('r-2')).toEqual({
    since: 'r-1',
    what: 'src/a.ts changed',
  });
});

test('the last run that succeeded is compared, not one in between that failed', async () => {
  const history = new History()
    .run('r-1', { cwd: '/workspace/a' })
    .run('r-2')
    .run('r-3', { cwd: '/workspace/b' }, { outcome: 'failed' })
    .run('r-4', { cwd: '/workspace/c', command: ['x'] });
  expect(await history.why('r-4')).toEqual({
    since: 'r-2',
    what: 'its command changed from npm test to x (and 1 more)',
  });
});

test('where the workspace of then was pruned it is said that it changed', async () => {
  const history = new History().run('r-1').run('r-2', { snapshot: someDigest('9') });
  expect(await history.why('r-2')).toEqual({
    since: 'r-1',
    what: 'the workspace changed',
  });
});

test('where what it depended on is not known any more that is said', async () => {
  const history = new History().run('r-1', { cwd: '/x' }).run('r-2');
  history.blobs.delete(actionOf({ ...facts, cwd: '/x' }).action);
  expect((await history.why('r-2'))?.what).toContain('not kept any more');
});

test('with the same key the result itself was the matter', async () => {
  expect(await new History().run('r-1').run('r-2').why('r-2')).toEqual({
    since: 'r-1',
    what: 'nothing differs, but what it left then may not count, or is gone',
  });
});

test.each<[object, string]>([
  [{ sideEffects: true }, 'it has side effects, so it runs every time'],
  [{ secrets: ['TOKEN'] }, 'it has secrets, so it runs every time'],
])('a task with %j always runs', async (change, sentence) => {
  const history = new History().run('r-1', 'no action').run('r-2', 'no action');
  expect(await history.why('r-2', { ...plain, ...change })).toEqual({
    since: 'r-1',
    what: sentence,
  });
});

test('who asked for everything to run gets that as the reason', async () => {
  expect(await new History().run('r-1').run('r-2', {}, { cache: false }).why('r-2')).toMatchObject({
    what: 'it was asked to run, whatever ran before',
  });
});
