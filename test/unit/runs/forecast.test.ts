import { expect, test } from 'vitest';
import type { SubmitRun } from '#contract/run.ts';
import { forecast } from '#daemon/runs/forecast.ts';
import { Orchestra, user, type PlanFileTask } from '#test/support/orchestra.ts';

const tasks: PlanFileTask[] = [
  { id: 'gen', tool: 'sh', args: ['-c', 'gen'] },
  { id: 'build', tool: 'sh', args: ['-c', 'build'], deps: ['gen'] },
  { id: 'deploy', tool: 'sh', args: ['-c', 'deploy'], deps: ['build'], side_effects: true },
  { id: 'after', tool: 'sh', args: ['-c', 'after'], deps: ['deploy'] },
];

async function look(it: Orchestra, plan: PlanFileTask[], cache = true) {
  const snapshot = await it.snapshot();
  const request = {
    intent: 'try it',
    snapshot,
    workspace: 'demo',
    concurrency: 1,
    plan: { text: JSON.stringify({ version: 1, tasks: plan }), file: 'plan.yaml' },
  } satisfies SubmitRun;
  const { signal } = new AbortController();
  const accepted = await it.rooms.runs.plan(request, user, signal);
  const asked = { snapshot, concurrency: 1, cache };
  return forecast(it.rooms.deps, accepted, asked, signal);
}

test('of a plan that nobody ran nothing is known, and nothing is made up', async () => {
  await using it = await Orchestra.open();
  const seen = await look(it, tasks);
  expect(seen.cached).toBe(0);
  expect(seen.makespan_ms).toBeUndefined();
  expect(seen.tasks.map(({ id, cached }) => [id, cached])).toEqual(
    tasks.map(({ id }) => [id, false]),
  );
});

test('what the cache has is told for as long as everything before it is there, as the run finds it', async () => {
  await using it = await Orchestra.open();
  await it.run(tasks, { cache: true });
  const seen = await look(it, tasks);
  // After a task with side effects nobody can say what a task is going to see.
  expect(seen.tasks.map(({ id, cached }) => [id, cached])).toEqual([
    ['gen', true],
    ['build', true],
    ['deploy', false],
    ['after', false],
  ]);
  const again = it.rooms.runs.find(await it.run(tasks, { cache: true }));
  const states = [...again.tasks].map(([id, { state }]) => [id, state === 'cached']);
  expect(states.slice(0, 3)).toEqual([
    ['gen', true],
    ['build', true],
    ['deploy', false],
  ]);
});

test('a task that changed is not cached, and nor is what waits for it', async () => {
  await using it = await Orchestra.open();
  await it.run(tasks, { cache: true });
  const changed = tasks.map((task) =>
    task.id === 'gen' ? { ...task, args: ['-c', 'gen --all'] } : task,
  );
  expect((await look(it, changed)).cached).toBe(0);
});

test('with --no-cache nothing counts as there, and the time is that of all tasks', async () => {
  await using it = await Orchestra.open();
  await it.run(tasks, { cache: true });
  const [with_, without] = [await look(it, tasks), await look(it, tasks, false)];
  expect(without.cached).toBe(0);
  expect(without.makespan_ms).toBeGreaterThanOrEqual(with_.makespan_ms ?? Infinity);
});

test('looking ahead puts nothing on record and starts nothing', async () => {
  await using it = await Orchestra.open();
  await it.run(tasks, { cache: true });
  const [size, calls] = [it.log.size, it.fake.calls.length];
  await look(it, tasks);
  expect(it.log.size).toBe(size);
  expect(it.fake.calls.slice(calls).filter((call) => /create|start/.test(call))).toEqual([]);
});
