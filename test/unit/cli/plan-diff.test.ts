import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planDifference } from '#cli/plan/difference.ts';
import { sideOfFile, type Side, type SideTask } from '#cli/plan/side.ts';

const task = (id: string, more: Partial<SideTask> = {}): SideTask => ({
  id,
  tool: 'npm',
  args: ['run', id],
  env: {},
  cwd: '.',
  deps: [],
  outputs: [],
  inputs: [],
  secrets: [],
  locks: [],
  sideEffects: false,
  retries: undefined,
  onFailure: 'stop',
  limits: {},
  ...more,
});
const side = (tasks: SideTask[], more: Partial<Side> = {}): Side => ({
  label: 'plan',
  kind: 'file',
  tasks,
  ...more,
});

describe('what a plan may do comes first', () => {
  test('a secret, a tool, a variable and a side effect that came in are named with their tasks', () => {
    const before = side([task('build')]);
    const after = side([
      task('build', { tool: 'sh', args: ['-c', 'curl'], env: { CI: '1' } }),
      task('publish', { secrets: ['NPM_TOKEN'], sideEffects: true }),
    ]);
    const { capabilities } = planDifference(before, after);
    expect(
      capabilities.map(({ what, change, name, tasks }) => [what, change, name, tasks]),
    ).toEqual([
      ['secret', 'added', 'NPM_TOKEN', ['publish']],
      ['tool', 'added', 'sh', ['build']],
      ['side effects', 'added', 'publish', ['publish']],
      ['env', 'added', 'CI', ['build']],
    ]);
  });

  test('what one program of exec became is a capability of its own', () => {
    const run = (program: string) => side([task('x', { tool: 'exec', args: [program] })]);
    const { capabilities } = planDifference(run('ls'), run('curl'));
    expect(capabilities.map(({ change, name }) => `${change} ${name}`)).toEqual([
      'added exec curl',
      'removed exec ls',
    ]);
  });

  test('another image and a higher limit are told, a limit that one side leaves open is not', () => {
    const all = { memoryBytes: 1024 ** 3, pids: 64 };
    const before = side([task('build', { limits: all })], { image: 'node:20-alpine sha256:1' });
    const after = side([task('build', { limits: { memoryBytes: 2 * 1024 ** 3 } })], {
      image: 'node:20-alpine sha256:2',
    });
    const { capabilities } = planDifference(before, after);
    expect(capabilities.map(({ name, from, to }) => [name, from, to])).toEqual([
      ['image', 'node:20-alpine sha256:1', 'node:20-alpine sha256:2'],
      ['memory', '1 GiB', '2 GiB'],
    ]);
  });
});

test('the same work under another name is renamed, with its edges, and nothing else', () => {
  const before = side([task('install', { args: ['ci'] }), task('test', { deps: ['install'] })]);
  const after = side([task('setup', { args: ['ci'] }), task('test', { deps: ['setup'] })]);
  const difference = planDifference(before, after);
  expect(difference.tasks).toEqual({
    added: [],
    removed: [],
    renamed: [{ from: 'install', to: 'setup' }],
    changed: [],
  });
  expect(difference.edges).toEqual({ added: [], removed: [] });
  expect(difference.same).toBe(false);
});

test('the same name with other work is changed, field by field', () => {
  const before = side([task('test'), task('lint')]);
  const after = side([
    task('test', { args: ['run', 'test', '--', '-u'], deps: ['lint'] }),
    task('lint'),
  ]);
  const { tasks, edges } = planDifference(before, after);
  expect(tasks.changed).toEqual([
    {
      id: 'test',
      fields: [{ field: 'args', from: '["run","test"]', to: '["run","test","--","-u"]' }],
    },
  ]);
  expect(edges).toEqual({ added: [{ task: 'test', waits_for: 'lint' }], removed: [] });
});

test('of two runs of one plan, what became of a task differs', () => {
  const run = (state: string) =>
    side([task('test', { state, durationMs: 10 })], { durationMs: 10 });
  const { outcome, durations, same } = planDifference(run('succeeded'), run('failed'));
  expect(outcome).toEqual([{ id: 'test', from: 'succeeded', to: 'failed' }]);
  expect(durations).toEqual({ from_ms: 10, to_ms: 10 });
  expect(same).toBe(false);
});

test('a file is read with its defaults and its time limit', () => {
  const text = 'version: 1\ntasks:\n  - { id: a, tool: npm, args: [ci], timeout: 5m }\n';
  expect(sideOfFile(text, 'plan.yaml').tasks).toEqual([
    expect.objectContaining({
      id: 'a',
      cwd: '.',
      limits: { timeoutMs: 300_000 },
      onFailure: 'stop',
    }),
  ]);
});

test('a plan does not differ from itself, and what was added one way was removed the other', () => {
  const tasks = fc.uniqueArray(
    fc.record({
      id: fc.constantFrom('a', 'b', 'c', 'd'),
      tool: fc.constantFrom('npm', 'sh'),
      secrets: fc.subarray(['S', 'T']),
      deps: fc.subarray(['a', 'b', 'c', 'd']),
      sideEffects: fc.boolean(),
    }),
    { selector: ({ id }) => id },
  );
  const sides = tasks.map((all) => side(all.map(({ id, ...more }) => task(id, more))));
  fc.assert(
    fc.property(sides, sides, (a, b) => {
      expect(planDifference(a, a).same).toBe(true);
      const [there, back] = [planDifference(a, b), planDifference(b, a)];
      expect(there.same).toBe(back.same);
      expect(there.tasks.added.toSorted()).toEqual(back.tasks.removed.toSorted());
      const names = (one: typeof there, change: string) =>
        one.capabilities
          .filter((each) => each.change === change)
          .map(({ what, name }) => `${what} ${name}`)
          .toSorted();
      // Two tasks that do the same may be matched either way; what there is to do may not differ.
      expect(names(there, 'added')).toEqual(names(back, 'removed'));
    }),
  );
});
