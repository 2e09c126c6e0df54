import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { PlanTask } from '#contract/plan.ts';
import { actionOf, layerFacts, readAction } from '#daemon/runs/cache/action.ts';
import { actionFacts, isCacheable, type TaskView } from '#daemon/runs/cache/task-action.ts';
import { emptyLayer } from '#daemon/workspace/layers.ts';
import { seccompOf } from '#test/support/seccomp.ts';
import { someDigest } from '#test/support/records.ts';
import { testLimits } from '#test/support/sandbox-spec.ts';

const plain: PlanTask = {
  id: 'build',
  title: 'Build',
  why: '',
  tool: 'npm',
  args: ['run', 'build'],
  env: { TOP: '5' },
  cwd: '.',
  deps: [],
  outputs: [{ name: 'dist', path: 'dist', required: true }],
  onFailure: 'stop',
  secrets: [],
  command: ['npm', 'run', 'build'],
  provisions: [],
  limits: testLimits,
};
const request: TaskView['request'] = {
  installId: 'test',
  image: { reference: 'node:20', id: someDigest('a') },
  user: { uid: 1000, gid: 1000 },
  runtime: 'runc',
  walls: { seccomp: seccompOf('{}'), apparmor: undefined },
  task: plain,
};
const layer = (digit: string, taskId = digit) => ({ taskId, layer: someDigest(digit), deps: [] });
const base: TaskView = {
  request,
  stack: { snapshot: someDigest('1'), ancestors: [layer('2'), layer('3')] },
  packages: undefined,
};
const keyOf = (view: TaskView) => actionOf(actionFacts(view)).action;
const withTask = (change: Partial<PlanTask>): TaskView => ({
  ...base,
  request: { ...request, task: { ...plain, ...change } },
});
const withRequest = (change: Partial<TaskView['request']>): TaskView => ({
  ...base,
  request: { ...request, ...change },
});
const withLimits = (change: Partial<PlanTask['limits']>) =>
  withTask({ limits: { ...testLimits, ...change } });

test.each<[string, TaskView]>([
  ['the command', withTask({ command: ['npm', 'run', 'build', ''] })],
  ['where a word ends', withTask({ command: ['npm', 'run build'] })],
  ['a variable', withTask({ env: { TOP: '6' } })],
  ['the name of a variable', withTask({ env: { TOPS: '5' } })],
  ['the tool, by what it sets', withTask({ tool: 'go' })],
  ['the directory', withTask({ cwd: 'app' })],
  ['an output', withTask({ outputs: [] })],
  [
    'whether an output is required',
    withTask({ outputs: [{ name: 'dist', path: 'dist', required: false }] }),
  ],
  ['the image', withRequest({ image: { reference: 'node:20', id: someDigest('b') } })],
  ['the user', withRequest({ user: { uid: 1001, gid: 1000 } })],
  ['the family of the runtime', withRequest({ runtime: 'runsc' })],
  ['a runtime that nobody knows', withRequest({ runtime: 'special' })],
  ['the filter', withRequest({ walls: { seccomp: { profile: 'builtin' }, apparmor: undefined } })],
  ['AppArmor', withRequest({ walls: { ...request.walls, apparmor: 'x' } })],
  ['SELinux', withRequest({ walls: { ...request.walls, selinux: 'x' } })],
  ['processors', withLimits({ cpuMilli: 2000 })],
  ['memory', withLimits({ memoryBytes: 1 << 30 })],
  ['processes', withLimits({ pids: 65 })],
  ['open files', withLimits({ openFiles: 1025 })],
  ['file size', withLimits({ fileSizeBytes: 1 })],
  ['room in /tmp', withLimits({ tmpBytes: 1 })],
  ['packages', { ...base, packages: someDigest('9') }],
  ['the workspace', { ...base, stack: { ...base.stack, snapshot: someDigest('4') } }],
  ['that it sees a part', { ...base, stack: { ...base.stack, partial: true } }],
  ['a layer less', { ...base, stack: { ...base.stack, ancestors: [layer('2')] } }],
  ['another layer', { ...base, stack: { ...base.stack, ancestors: [layer('2'), layer('4')] } }],
  [
    'the order of layers',
    { ...base, stack: { ...base.stack, ancestors: [layer('3'), layer('2')] } },
  ],
])('%s makes another key', (_, view) => {
  expect(keyOf(view)).not.toBe(keyOf(base));
});

test.each<[string, TaskView]>([
  ['the name of the task', withTask({ id: 'other' })],
  ['what is said about it', withTask({ title: 'x', why: 'y' })],
  ['what follows its failure', withTask({ onFailure: 'continue', retries: 3, locks: ['a'] })],
  ['the order of variables', withTask({ env: Object.fromEntries([['TOP', '5']]) })],
  ['the installation', withRequest({ installId: 'other' })],
  ['how the image was called', withRequest({ image: { reference: 'x', id: someDigest('a') } })],
  ['another name for a runtime of the family', withRequest({ runtime: 'runc-debug' })],
  ['time', withLimits({ timeoutMs: 1, idleMs: 1 })],
  ['how much it may say and leave', withLimits({ outputBytes: 1, diskBytes: 1, diskFiles: 1 })],
  [
    'which task left a layer',
    { ...base, stack: { ...base.stack, ancestors: [layer('2', 'x'), layer('3', 'y')] } },
  ],
  [
    'a task that left nothing',
    {
      ...base,
      stack: {
        ...base.stack,
        ancestors: [layer('2'), { taskId: 'n', layer: emptyLayer, deps: [] }, layer('3')],
      },
    },
  ],
])('%s makes no other key', (_, view) => {
  expect(keyOf(view)).toBe(keyOf(base));
});

test('what is kept under the key is what the key is made from', () => {
  const { action, bytes } = actionOf(actionFacts(base));
  const facts = readAction(bytes);
  expect(facts).toEqual(actionFacts(base));
  expect(facts && actionOf(facts).action).toBe(action);
});

test.each(['', '{}', '[]', 'null', '{"version":2}'])('%j is nobody’s facts', (text) => {
  expect(readAction(Buffer.from(text))).toBeUndefined();
});

test('a chain of thousands is said shortly, and each of its layers still counts', () => {
  const digest = fc.integer({ min: 0, max: 9 }).map((n) => someDigest(String(n)));
  fc.assert(
    fc.property(fc.array(digest, { maxLength: 200 }), fc.nat(199), (layers, at) => {
      const said = layerFacts(layers);
      expect(said.layers.length).toBeLessThanOrEqual(64);
      if (layers.length === 0) return;
      const changed = layers.with(at % layers.length, someDigest('f'));
      expect(layerFacts(changed)).not.toEqual(said);
      expect(layerFacts(layers.slice(1))).not.toEqual(said);
    }),
  );
});

test('secrets and side effects are never taken from the cache', () => {
  expect(isCacheable(plain)).toBe(true);
  expect(isCacheable({ ...plain, secrets: ['TOKEN'] })).toBe(false);
  expect(isCacheable({ ...plain, sideEffects: true })).toBe(false);
});
