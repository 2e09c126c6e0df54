import { readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import type { RunId } from '#contract/ids.ts';
import type { AnyRecord } from '#contract/records.ts';
import { PlannerList, plannerSettings } from '#daemon/planner/models/settings.ts';
import { runReport } from '#daemon/runs/run-report.ts';
import {
  anthropic,
  begins,
  ModelServer,
  openai,
  says,
  status,
  type Reply,
} from '#test/support/model-server.ts';
import { Orchestra, user } from '#test/support/orchestra.ts';
import { keyFile, planner, saidPlan, testKey } from '#test/support/planning.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const files = { 'package.json': '{"scripts":{"build":"tsc"}}', 'a.ts': 'the body of a file' };
const sound = saidPlan({ id: 'build', tool: 'node', args: ['build.js'] });

/** A daemon with two models on servers of their own. */
async function daemonWith(first: Reply[], second: Reply[]) {
  const dir = await tempDir();
  const [a, b] = [await ModelServer.open(...first), await ModelServer.open(...second)];
  const key = keyFile(dir.path);
  const settings = [planner(anthropic, a, key), planner(openai, b, key)];
  const it = await Orchestra.open({
    config: { planners: plannerSettings(PlannerList.parse(settings)), planWithinMs: 10_000 },
  });
  onTestFinished(async () => {
    await it[Symbol.asyncDispose]();
    for (const server of [a, b]) await server[Symbol.asyncDispose]();
    await dir[Symbol.asyncDispose]();
  });
  return { it, a, b };
}

const ofPlanning = (records: readonly AnyRecord[]) =>
  records
    .map(({ type, outcome }) => (outcome === 'ok' ? type : `${type} ${outcome}`))
    .filter((words) => /^(run\.submitted|run\.refused|plan|run\.accepted)/.test(words));

async function viewOf(it: Orchestra, run: RunId) {
  return it.rooms.runs.view(run);
}

test('a plan that a model makes after another one failed is on record question by question, before each of them', async () => {
  const { it, a, b } = await daemonWith([status(401)], [says(openai, sound)]);
  const asked: number[] = [];
  it.gate = (entry) => {
    if (entry.type === 'planner.asked') asked.push(a.asked.length + b.asked.length);
    return true;
  };
  const run = await it.run('', { intent: 'build it', files });
  const records = await it.records(run);
  expect(ofPlanning(records)).toEqual([
    'run.submitted',
    'plan.requested',
    'planner.asked',
    'planner.answered failed',
    'planner.asked',
    'planner.answered',
    'plan.made',
    'run.accepted',
  ]);
  // When the first was on record nothing had left, when the second was, one question had.
  expect(asked).toEqual([0, 1]);
  const view = await viewOf(it, run);
  expect(view).toMatchObject({ planner: 'openai', state: 'succeeded' });
  expect(view.tried?.map(({ planner: name, code }) => `${name} ${code}`)).toEqual([
    'anthropic auth',
    'openai ok',
  ]);
  expect(view.tried?.[1]).toMatchObject({ rounds: 1, inputTokens: 100, outputTokens: 50 });
});

test('the report says who planned, why not the others, and what it took', async () => {
  const { it } = await daemonWith([status(402)], [says(openai, sound)]);
  const run = await it.run('', { intent: 'build it', files });
  const report = await runReport(it.rooms.runs, it.rooms.deps, run);
  expect(report).toContain('by the planner openai');
  expect(report).toContain('anthropic: it wants to be paid first');
  expect(report).toMatch(/openai: made the plan \(.*1 question, 100 \+ 50 tokens\)/);
});

test('with every provider down the run goes on with the plan of the rules', async () => {
  const { it } = await daemonWith([status(503)], [(answer) => answer.cut()]);
  const run = await it.run('', { intent: 'build', files });
  expect(await viewOf(it, run)).toMatchObject({ planner: 'rules', state: 'succeeded' });
});

test('a plan that nobody has is refused with who was tried, and what was asked for is in no record', async () => {
  const { it } = await daemonWith([status(401)], [status(402)]);
  const run = await it.run('', { intent: 'frobnicate everything unheardofly', files });
  const records = await it.records(run);
  const failed = records.find(({ type }) => type === 'plan.failed');
  expect(failed?.data).toMatchObject({
    code: 'plan.impossible',
    tried: [
      { planner: 'anthropic', code: 'auth' },
      { planner: 'openai', code: 'billing' },
      { planner: 'rules', code: 'impossible' },
    ],
  });
  expect(JSON.stringify(records)).not.toMatch(/frobnicate|unheardofly/);
  const view = await viewOf(it, run);
  expect(view.exitCode).toBe(1);
  expect(view.reasons.join()).toContain('anthropic: its key is not taken');
});

test('neither key, nor the body of a file, nor an answer is in any record or blob of a run', async () => {
  const { it, b } = await daemonWith([status(500)], [says(openai, `{"tasks":["answered words"]}`)]);
  const run = await it.run('', { intent: 'build', files });
  const seen = JSON.stringify([await it.records(run), await viewOf(it, run)]);
  expect(seen).not.toContain(testKey);
  expect(seen).not.toContain('answered words');
  expect(b.asked.length).toBe(3);
  expect(JSON.stringify(b.asked)).not.toContain('the body of a file');
});

test('cancelling a run ends the question that its plan waits for', async () => {
  const { it, a, b } = await daemonWith(
    [begins(anthropic, sound, { ending: 'silence' })],
    [says(openai, sound)],
  );
  const run = await it.submit('', { intent: 'build', files });
  await expect.poll(() => a.asked.length).toBe(1);
  await it.rooms.runs.cancel(run, 'no more', {
    kind: 'user',
    auth: 'peer',
    uid: 1000,
    name: 'ada',
  });
  await it.ended(run);
  expect(b.asked).toEqual([]);
  const view = await viewOf(it, run);
  expect(view.state).toBe('cancelled');
  const answered = (await it.records(run)).find(({ type }) => type === 'planner.answered');
  expect(answered?.data).toMatchObject({ planner: 'anthropic', code: 'cancelled' });
});

test('--planner asks one alone, and an unknown one is refused before anything is asked', async () => {
  const { it, a, b } = await daemonWith([says(anthropic, sound)], [says(openai, sound)]);
  const run = await it.run('', { intent: 'build', files, planner: 'openai' });
  expect((await viewOf(it, run)).planner).toBe('openai');
  const rules = await it.run('', { intent: 'build', files, planner: 'rules' });
  expect((await viewOf(it, rules)).planner).toBe('rules');
  await expect(it.submit('', { intent: 'build', files, planner: 'opanai' })).rejects.toMatchObject({
    code: 'planner.unknown',
    hint: 'did you mean openai?',
  });
  expect([a.asked.length, b.asked.length]).toEqual([0, 1]);
});

test('plans that are compared come best first, with the points that say why, and those without a plan last', async () => {
  const half = saidPlan({ id: 'only', tool: 'npm', args: ['run', 'lint'] });
  const { it } = await daemonWith([says(anthropic, half)], [status(401)]);
  const request = {
    intent: 'build',
    snapshot: await it.snapshot(files),
    workspace: 'demo',
    cache: false,
  };
  const { signal } = new AbortController();
  const { items } = await it.rooms.runs.compare(request, user, signal);
  expect(items.map(({ tried, score }) => [tried.planner, tried.code, score?.coverage])).toEqual([
    ['rules', 'ok', 40],
    ['anthropic', 'ok', 0],
    ['openai', 'auth', undefined],
  ]);
  await expect(
    it.rooms.runs.compare({ ...request, exec: ['ls'] }, user, signal),
  ).rejects.toMatchObject({ code: 'request.invalid' });
});

test('what a model plans and a rule of the policy denies goes back to it with the reason', async () => {
  const { it, a } = await daemonWith(
    [
      says(anthropic, saidPlan({ id: 'x', tool: 'sh', args: ['-c', 'true'] })),
      says(anthropic, sound),
    ],
    [status(500)],
  );
  const shipped = readFileSync(new URL('../../../policies/default.yaml', import.meta.url), 'utf8');
  const rules = [
    'rules:',
    '  - { id: usual, when: "true", effect: allow, reason: as usual }',
    `  - { id: no-shell, when: 'task.tool == "sh"', effect: deny, reason: no shells here }`,
  ].join('\n');
  const text = `${shipped.replace('name: default', 'name: narrow')}\n${rules}\n`;
  const run = await it.run('', {
    intent: 'build',
    files,
    policy: { text, file: 'narrow.yaml' },
  });
  const view = await viewOf(it, run);
  expect(view.planner, view.reasons.join('\n')).toBe('anthropic');
  expect(view.tasks.map(({ tool }) => tool)).toEqual(['node']);
  expect(JSON.stringify(a.asked[1]?.body)).toContain('no shells here');
});
