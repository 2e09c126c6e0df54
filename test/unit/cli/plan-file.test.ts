import fc from 'fast-check';
import { expect, test } from 'vitest';
import { planFileOf } from '#cli/run/plan-file.ts';
import { readPlanFile } from '#daemon/planner/plan-file.ts';

const limits = {
  cpuMilli: 1500,
  memoryBytes: 512 * 1024 ** 2,
  pids: 64,
  openFiles: 1024,
  fileSizeBytes: 1024 ** 3,
  tmpBytes: 64 * 1024 ** 2,
  outputBytes: 1024 ** 2,
  timeoutMs: 90_000,
};

const plan = {
  version: 1,
  intent: 'Build and test',
  planner: 'rules',
  assumptions: ['lint runs beside build\nversion: 2'],
  tasks: [
    {
      id: 'install',
      title: 'npm ci',
      why: 'packages first',
      tool: 'npm',
      args: ['ci'],
      env: {},
      cwd: '.',
      deps: [],
      outputs: [],
      onFailure: 'stop',
      command: ['npm', 'ci', '--offline'],
      provisions: ['npm'],
      limits,
    },
    {
      id: 'build',
      title: '',
      why: '',
      tool: 'npm',
      args: ['run', 'build'],
      env: { MODE: 'a: "b"' },
      cwd: 'packages/a',
      deps: ['install'],
      outputs: [{ name: 'dist', path: 'dist', required: false }],
      onFailure: 'continue',
      command: ['npm', 'run', 'build'],
      provisions: [],
      limits,
    },
  ],
};

test('a plan that was written to a file is read back as the same tasks', () => {
  const { draft, name } = readPlanFile(planFileOf(plan), 'out.yaml');
  expect(name).toBe('Build and test');
  expect(draft.tasks.map((task) => [task.id, task.tool, task.args, task.cwd, task.deps])).toEqual(
    plan.tasks.map((task) => [task.id, task.tool, task.args, task.cwd, task.deps]),
  );
  expect(draft.tasks[1]).toMatchObject({
    env: [{ name: 'MODE', value: 'a: "b"' }],
    outputs: [{ name: 'dist', path: 'dist', required: false }],
    onFailure: 'continue',
    limits: { cpus: 1.5, memory: '512MiB', timeout: '1m30s' },
  });
});

test('whatever the texts of a plan are, the file says the same and nothing more', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 60 });
  // An empty title is none, and a plan file then names the task by itself.
  const title = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(text, title, fc.array(text, { maxLength: 5 }), (assumption, title, args) => {
      const [first] = plan.tasks;
      const tasks = [{ ...first, title, args }];
      const read = readPlanFile(planFileOf({ ...plan, assumptions: [assumption], tasks }), 'f');
      expect(read.draft.tasks).toMatchObject([{ id: 'install', title, args }]);
    }),
  );
});
