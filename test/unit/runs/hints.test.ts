import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { exitCodes, OrchestraError } from '#contract/errors.ts';
import type { TaskView } from '#contract/run.ts';
import { hintsOf } from '#daemon/runs/hints.ts';
import type { TaskFacts } from '#daemon/runs/state.ts';
import { runReport } from '#daemon/runs/run-report.ts';
import type { Script } from '#test/support/fake-engine.ts';
import { ofType, Orchestra } from '#test/support/orchestra.ts';

let it: Orchestra;
beforeAll(async () => {
  it = await Orchestra.open();
});
afterAll(async () => {
  await it[Symbol.asyncDispose]();
});
beforeEach(() => it.programs.clear());

const build = { id: 'build', tool: 'node', args: ['build.js'] };

async function ran(
  script: Script,
): Promise<{ id: string; exit: number | undefined; task: TaskView }> {
  it.programs.set('build', script);
  const id = await it.run([build]);
  const view = await it.rooms.runs.view(id);
  const [task] = view.tasks;
  if (!task) throw new Error('there is no task');
  return { id, exit: view.exitCode, task };
}

const lookup = 'npm error request failed, reason: getaddrinfo EAI_AGAIN registry.example\n';

test('a task that ran into a wall tells which, what it said, and what to do', async () => {
  const { id, task } = await ran({ exitCode: 1, output: [[2, lookup]] });
  expect(task.hints).toEqual([
    {
      id: 'network.name',
      rule: 'network.none',
      basis: 'output',
      title: expect.stringContaining('no network') as string,
      remedy: expect.stringContaining('lockfile') as string,
      line: lookup.trim(),
    },
  ]);
  const report = await runReport(it.rooms.runs, it.rooms.deps, id);
  expect(report).toContain('**build** network.none');
  expect(report).toContain('a guess from what it printed');
});

test('the log keeps which hint it was, and none of the task’s words', async () => {
  const { id } = await ran({ exitCode: 1, output: [[2, lookup]] });
  const records = await it.records(id);
  expect(ofType(records, 'task.finished')[0]?.data.hints).toEqual(['network.name']);
  expect(JSON.stringify(records)).not.toContain('registry.example');
});

test('what a task prints never decides how it ended', async () => {
  const forged = 'Bad system call\nlimit.memory: 1 B allowed\nsandbox.violation seccomp SIGSYS\n';
  const { id, exit, task } = await ran({
    exitCode: 1,
    output: [
      [1, forged],
      [2, forged],
    ],
  });
  expect(task.state).toBe('failed');
  expect(exit).toBe(exitCodes.taskFailed);
  expect(ofType(await it.records(id), 'sandbox.violation')).toEqual([]);
  expect(task.hints?.map(({ basis }) => basis)).toEqual(['output']);
});

test('a task that succeeds is told nothing, whatever it printed', async () => {
  const { task } = await ran({ output: [[2, lookup]] });
  expect(task.hints).toBeUndefined();
});

test('a task that the filter kills ends its run with 4, on record, and says why', async () => {
  const { id, exit, task } = await ran({ exitCode: 159, output: [[2, 'Bad system call\n']] });
  expect(exit).toBe(exitCodes.violation);
  expect(task).toMatchObject({ state: 'violated', signal: 'SIGSYS' });
  expect(ofType(await it.records(id), 'sandbox.violation')).toMatchObject([
    { outcome: 'denied', sev: 'alert', data: { kind: 'syscall', rule: 'seccomp' } },
  ]);
  // What is on record needs no guess beside it.
  expect(task.hints).toMatchObject([{ rule: 'seccomp', basis: 'record' }]);
});

const facts = (more: Partial<TaskFacts>): TaskFacts => ({
  state: 'failed',
  attempt: 1,
  artifacts: [],
  ...more,
});
const blobs = (text: string) => ({ read: () => Promise.resolve(Buffer.from(text)) });
const lines = `sha256:${'a'.repeat(64)}` as const;

test('a limit on record comes before what the output looked like, and without a guess about it', async () => {
  const hints = await hintsOf(
    facts({
      limit: 'memory',
      limitAllowed: 1024 ** 2,
      limitPeak: 1024 ** 2,
      hintIds: ['limits.memory', 'root.readonly'],
    }),
    blobs('[]'),
  );
  expect(hints).toMatchObject([
    { rule: 'limits.memory', basis: 'record', title: 'limit.memory: 1 MiB allowed, 1 MiB used' },
    { rule: 'root.readonly', basis: 'output' },
  ]);
});

test.each([
  ['thrown away', { read: () => Promise.reject(new OrchestraError('blob.unknown', 'gone')) }],
  ['no JSON', blobs('{')],
  ['another document', blobs('{"id":1}')],
])('a hint stands without its line when the lines are %s', async (_what, store) => {
  const task = facts({ hintIds: ['image.tool'], hintLines: lines });
  const [hint] = await hintsOf(task, store);
  expect(hint).toMatchObject({ id: 'image.tool' });
  expect(hint).not.toHaveProperty('line');
});

test('an id that this daemon does not know any more is passed over', async () => {
  expect(await hintsOf(facts({ hintIds: ['of.tomorrow'] }), blobs('[]'))).toEqual([]);
});
