import { expect, test, vi } from 'vitest';
import type { RunId } from '#contract/ids.ts';
import type { Plan, PlanTask } from '#contract/plan.ts';
import type { AnyRecord, Actor } from '#contract/records.ts';
import { learnedOf } from '#daemon/planner/learning/advice.ts';
import { shapeOf } from '#daemon/planner/learning/shape.ts';
import { loadPlan } from '#daemon/runs/accept.ts';
import { explainPlan } from '#daemon/runs/explain-plan.ts';
import { forgetLearned, rateRun } from '#daemon/runs/rate.ts';
import { runReport } from '#daemon/runs/run-report.ts';
import { Orchestra, user } from '#test/support/orchestra.ts';
import { policyText } from '#test/support/policy-text.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const files = { 'package.json': '{"scripts":{"build":"tsc","test":"vitest"}}' };
const failing = new Map([['test', { exitCode: 1 }]]);

async function rate(it: Orchestra, run: RunId, rating: 'up' | 'down', actor: Actor, note?: string) {
  const facts = it.rooms.runs.find(run);
  return rateRun(it.rooms.deps, facts, { rating, ...(note === undefined ? {} : { note }) }, actor);
}

async function plan(it: Orchestra, more = {}) {
  const snapshot = await it.snapshot(files);
  const request = { intent: 'Build and test', snapshot, workspace: 'demo', ...more };
  return it.rooms.runs.plan(request, user, AbortSignal.timeout(10_000));
}

function filed({ tasks }: Plan) {
  return tasks.map(({ id, tool, args, deps }) => ({ id, tool, args, deps }));
}

const made = (records: readonly AnyRecord[]) =>
  records.flatMap((one) => (one.type === 'plan.made' ? [one.data] : []));

test('who ran it rates it, once each, and the note is in the vault alone', async () => {
  await using dir = await tempDir();
  const note = 'exactly what I wanted, says Ada';
  await using it = await Orchestra.open({ stateDir: dir.path });
  const run = await it.run('', { intent: 'Build', files });
  await rate(it, run, 'down', user);
  expect(await rate(it, run, 'up', user, note)).toEqual({ id: run, up: 1, down: 0 });
  const records = await it.records(run);
  expect(JSON.stringify(records)).not.toContain('Ada');
  const rated = records.findLast((one) => one.type === 'run.rated');
  const commitment = rated?.type === 'run.rated' ? (rated.data.note_commitment ?? '') : '';
  const subject = rated?.type === 'run.rated' ? (rated.data.subject ?? '') : '';
  await it.stop();
  await using next = await Orchestra.open({ stateDir: dir.path });
  const kept = await next.rooms.deps.vault.words({ commitment, subject });
  expect(kept).toBe(note);
});

test('a run that is on its way, or never had a plan, is not rated', async () => {
  await using it = await Orchestra.open();
  const run = await it.run('', { intent: 'Dance and sing', files });
  await expect(rate(it, run, 'up', user)).rejects.toMatchObject({ code: 'run.conflict' });
  expect((await it.records(run)).map(({ type }) => type)).not.toContain('run.rated');
});

test('what was learned can be forgotten, and a new daemon does not know it either', async () => {
  await using dir = await tempDir();
  {
    await using it = await Orchestra.open({ stateDir: dir.path, programs: failing });
    await it.run('', { intent: 'Build and test', files });
    const { learning, durations } = it.rooms.deps;
    const learned = learnedOf(learning, 'uid:1000');
    expect(learned.families.map(({ family }) => family)).toContain('npm test');
    await forgetLearned(it.rooms.deps, { everybody: true }, user);
    expect(learning.all()).toEqual({ families: [], shapes: [] });
    expect(durations.knows({ tool: 'npm', args: ['run', 'build'], cwd: '.' })).toBe(false);
  }
  await using next = await Orchestra.open({ stateDir: dir.path });
  expect(next.rooms.deps.learning.all()).toEqual({ families: [], shapes: [] });
});

test('a known pitfall is warned of before anything runs, and the warning is on record', async () => {
  await using it = await Orchestra.open({ programs: new Map([['test', { hang: true }]]) });
  const tasks = [{ id: 'test', tool: 'npm', args: ['test'], timeout: '50ms' }];
  for (let i = 0; i < 2; i += 1) await it.run(tasks, { files });
  const text = JSON.stringify({ version: 1, tasks });
  const { advice, made: planned } = await plan(it, { plan: { text, file: 'plan.yaml' } });
  expect(advice.pitfalls).toHaveLength(1);
  // Said, and not done.
  expect(planned.plan.tasks[0]?.limits.timeoutMs).toBe(50);
  const run = await it.run(tasks, { files });
  const [data] = made(await it.records(run));
  const warning = /test: npm test did not end within .* in 2 of 2 attempts/;
  expect(data?.warned?.[0]).toMatch(warning);
  expect((await it.rooms.runs.view(run)).warned?.[0]).toMatch(warning);
  expect(await runReport(it.rooms.runs, it.rooms.deps, run)).toMatch(warning);
});

/** Runs that there never were, as a log would tell of them; gone from memory at the end. */
function pretend(it: Orchestra, { runs, ...made }: Record<string, unknown> & { runs: number }) {
  const { learning } = it.rooms.deps;
  const tell = (type: string, data: object, run?: string) =>
    learning.fold({ type, run, seq: 0, ts: '', actor: user, data } as unknown as AnyRecord);
  for (let i = 0; i < runs; i += 1) {
    const run = `r-${String(i).padStart(10, '0')}`;
    tell('run.submitted', { workspace: 'demo' }, run);
    tell('plan.made', { planner: 'rules', tasks: 1, ...made }, run);
    tell('run.closed', { outcome: 'succeeded', duration_ms: 1 }, run);
    tell('run.rated', { rating: 'up' }, run);
  }
  return { [Symbol.dispose]: () => tell('learning.forgotten', { before_seq: 0 }) };
}

const other = (task: PlanTask): PlanTask => ({ ...task, id: 'else', command: ['npm', 'x'] });
const goOn = (task: PlanTask): PlanTask => ({ ...task, onFailure: 'continue' });

function policyWith(effect: string) {
  const rules = `rules:
  - { id: builds, when: 'task.id != "test"', effect: allow, reason: builds are fine }
  - { id: tests, when: 'task.id == "test"', effect: ${effect}, reason: tests are not }
`;
  return { text: policyText('careful', rules), file: 'careful.yaml' };
}

async function keepPlan(it: Orchestra, plan: Pick<Plan, 'tasks'>) {
  const bytes = Buffer.from(JSON.stringify(plan));
  const { digest } = await it.rooms.deps.blobs.put(bytes, { maxBytes: 1_000_000 });
  return { plan: digest, shape: shapeOf(plan) };
}

test('a thousand praised runs of a denied plan do not make it allowed, asked for or preferred', async () => {
  await using it = await Orchestra.open();
  const { made: both, advice } = await plan(it);
  const kept = await keepPlan(it, { ...both.plan, tasks: both.plan.tasks.map(goOn) });
  using _history = pretend(it, { runs: 1000, ...kept, ...advice.aims });
  const [best] = learnedOf(it.rooms.deps.learning, 'uid:1000').shapes;
  expect(best?.bound).toBeGreaterThan(0.9);
  const file = { text: JSON.stringify({ version: 1, tasks: filed(both.plan) }), file: 'p.yaml' };
  const policy = policyWith('deny');
  await expect(plan(it, { policy })).rejects.toMatchObject({ code: 'policy.denied' });
  await expect(plan(it, { policy, plan: file })).rejects.toMatchObject({ code: 'policy.denied' });
});

test('a plan that policy asks about is asked about, however often it did well', async () => {
  await using it = await Orchestra.open();
  const { made: both, advice } = await plan(it);
  const kept = await keepPlan(it, { ...both.plan, tasks: both.plan.tasks.map(goOn) });
  const history = pretend(it, { runs: 1000, ...kept, ...advice.aims });
  const run = await it.submit('', {
    intent: 'Build and test',
    policy: policyWith('ask'),
    files,
  });
  const stateOf = () => it.rooms.runs.find(run).tasks.get('test')?.state;
  await vi.waitFor(() => expect(stateOf()).toBe('approval'));
  history[Symbol.dispose]();
  await it.rooms.runs.cancel(run, 'enough', user);
  await it.ended(run);
  await forgetLearned(it.rooms.deps, { everybody: true }, user);
});

test('a plan of the past that did better is taken again, judged anew, and says so; who names a planner gets his', async () => {
  await using it = await Orchestra.open();
  const first = await plan(it);
  const kept = await keepPlan(it, { ...first.made.plan, tasks: first.made.plan.tasks.map(goOn) });
  {
    using _history = pretend(it, { runs: 60, ...kept, ...first.advice.aims });
    const { made, advice } = await plan(it);
    expect(made.plan.tasks.map(({ onFailure }) => onFailure)).toContain('continue');
    expect(advice.aims).toEqual(first.advice.aims);
    expect(made.plan.assumptions[0]).toBe(
      'The plan of r-0000000059 is taken again: its like succeeded in 60 of 60 runs; what rules planned now has not run yet.',
    );
    expect((await plan(it, { planner: 'rules' })).made.digest).toBe(first.made.digest);
  }
  expect((await plan(it)).made.digest).toBe(first.made.digest);
});

test('a plan of the past that does less, or anything else, is left alone however well it did', async () => {
  await using it = await Orchestra.open();
  const { made, advice } = await plan(it);
  const less = made.plan.tasks.filter(({ id }) => id !== 'test');
  const more = [...made.plan.tasks, ...made.plan.tasks.slice(0, 1).map(other)];
  for (const tasks of [less, more]) {
    const kept = await keepPlan(it, { ...made.plan, tasks });
    using _history = pretend(it, { runs: 200, ...kept, ...advice.aims });
    expect((await plan(it)).made.digest).toBe(made.digest);
  }
});

test('a plan of the past with a program that nobody plans with now is left alone', async () => {
  await using it = await Orchestra.open();
  const first = await plan(it);
  const wide = await plan(it, { exec: ['sh', '-c', 'anything'] });
  const kept = await keepPlan(it, wide.made.plan);
  using _history = pretend(it, { runs: 60, ...kept, ...first.advice.aims });
  expect((await plan(it)).made.digest).toBe(first.made.digest);
});

test('a plan is explained with its points, its tasks and the runs behind them', async () => {
  await using it = await Orchestra.open({ programs: failing });
  const runs: RunId[] = [];
  for (let i = 0; i < 2; i += 1) runs.push(await it.run('', { intent: 'Build and test', files }));
  const run = it.rooms.runs.find(runs[1] ?? '');
  const said = await explainPlan(it.rooms.deps, run);
  expect(said).toMatchObject({
    planner: 'rules',
    goal: 'build test',
    coverageKnown: true,
    score: { coverage: 40 },
    past: { passed: 0, failed: 2, runs },
  });
  const [built, tested] = ['build', 'test'].map((id) => said.tasks.find((one) => one.id === id));
  expect(built).toMatchObject({ passed: 2, failed: 0, runs });
  expect(tested).toMatchObject({ family: 'npm test', passed: 0, runs });
  expect(tested?.chance).toBeLessThan(built?.chance ?? 0);
  expect(await loadPlan(it.rooms.deps, said.digest)).toMatchObject({ planner: 'rules' });
});
