import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import type { RunId } from '#contract/ids.ts';
import { PlannerList, plannerSettings } from '#daemon/planner/models/settings.ts';
import { runReport } from '#daemon/runs/run-report.ts';
import type { RequestFacts } from '#daemon/runs/requests/state.ts';
import { person } from '#test/support/asked.ts';
import type { Script } from '#test/support/fake-engine.ts';
import { ModelServer, openai, says } from '#test/support/model-server.ts';
import { ofType, Orchestra, user } from '#test/support/orchestra.ts';
import { keyFile, planner, said, saidPlan } from '#test/support/planning.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const root = new URL('../../..', import.meta.url).pathname;
const hex = (digit: string) => digit.repeat(64);

/** An image with two programs, of which nobody was told. */
function measured(digit = 'a'): Script {
  const lines = [
    'p /usr/local/bin/frobnicate /usr/local/bin/frobnicate',
    'p /usr/local/bin/node /usr/local/bin/node',
    `h ${hex(digit)}  /usr/local/bin/frobnicate`,
    `h ${hex('b')}  /usr/local/bin/node`,
    'm\n',
  ];
  return { output: [[1, lines.join('\n')]] };
}

const says0 = (...lines: string[]): Script => ({ output: [[1, `${lines.join('\n')}\n`]] });
const frobnicates = { id: 'make', tool: 'exec', args: ['frobnicate', '--all'] };
const autonomous = { intent: 'frobnicate all of it', autonomous: true };

async function daemonWith({
  answers = [saidPlan(frobnicates)],
  programs = {},
  config = {},
  policy = 'autonomous: allowed',
}: {
  answers?: string[];
  programs?: Record<string, Script>;
  config?: { autonomous?: boolean };
  policy?: string;
} = {}) {
  const dir = await tempDir();
  const server = await ModelServer.open(...answers.map((text) => says(openai, text)));
  const policiesDir = join(dir.path, 'policies');
  cpSync(join(root, 'policies'), policiesDir, { recursive: true });
  const text = readFileSync(join(root, 'policies/default.yaml'), 'utf8');
  writeFileSync(join(policiesDir, 'default.yaml'), `${text}\n${policy}\n`);
  const settings = [planner(openai, server, keyFile(dir.path))];
  const scripts = { tools: measured(), rehearsal: says0('t 0 0'), ...programs };
  const it = await Orchestra.open({
    policiesDir,
    programs: new Map(Object.entries(scripts)),
    config: { planners: plannerSettings(PlannerList.parse(settings)), ...config },
  });
  onTestFinished(async () => {
    await it[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    await dir[Symbol.asyncDispose]();
  });
  return { it, server };
}

async function asked(it: Orchestra, run: RunId): Promise<RequestFacts> {
  for (let i = 0; i < 2000; i += 1) {
    const found = it.rooms.deps.requests.states.ofRun(run).find(({ state }) => state === 'open');
    if (found !== undefined) return found;
    await sleep(5);
  }
  throw new Error(`${run} asks nobody`);
}

const approve = async (it: Orchestra, { id, shown }: RequestFacts) =>
  it.rooms.deps.requests.answer(id, { digest: shown, answer: 'approve' }, person(2001));

const rehearsedIn = async (it: Orchestra, run: RunId) =>
  ofType(await it.records(run), 'plan.rehearsed').map(({ outcome, data }) => [
    outcome,
    data.programs,
  ]);

test('a policy that says nothing of it allows no autonomous run, and nothing is asked anywhere', async () => {
  const { it, server } = await daemonWith({ policy: '' });
  await expect(it.submit('', autonomous)).rejects.toMatchObject({ code: 'policy.denied' });
  expect(server.asked).toEqual([]);
});

test('a document of the request cannot allow it where the ceiling does not', async () => {
  const { it } = await daemonWith({ policy: '' });
  const text = readFileSync(join(root, 'policies/default.yaml'), 'utf8');
  const own = { text: `${text}\nautonomous: allowed\n`, file: 'own.yaml' };
  const denied = it.submit('', { ...autonomous, policy: own });
  await expect(denied).rejects.toMatchObject({ code: 'policy.denied' });
});

test('an image that cannot be measured has no autonomous runs', async () => {
  const { it, server } = await daemonWith({ programs: { tools: { exitCode: 127 } } });
  const run = await it.run('', autonomous);
  expect(it.rooms.runs.find(run).state).toBe('refused');
  expect(server.asked).toEqual([]);
});

test('a program that does not start is a finding that the model mends, or the plan is none', async () => {
  const node = saidPlan({ id: 'make', tool: 'node', args: ['make.js'] });
  const answers = [saidPlan(frobnicates), node];
  const { it, server } = await daemonWith({
    answers,
    programs: { rehearsal: says0('t 0 127') },
  });
  const run = await it.run('', autonomous);
  expect(it.rooms.runs.find(run).state).toBe('refused');
  const turns = server.asked[1]?.body['input'] as { content: string }[];
  expect(turns.at(-1)?.content).toContain('does not start there');
  // Where the plan came from a file, there is nobody to mend it.
  const { intent } = autonomous;
  const file = await it.run([frobnicates], { intent, autonomous: true });
  expect(await rehearsedIn(it, file)).toEqual([
    [
      'failed',
      [{ name: 'frobnicate', binary: `sha256:${hex('a')}`, standing: 'asked', started: false }],
    ],
  ]);
  expect(it.rooms.runs.find(file).state).toBe('refused');
});

test('what the image does not have is no plan, whatever the policy names', async () => {
  const { it } = await daemonWith({ answers: [saidPlan({ id: 'make', tool: 'npm' })] });
  const run = await it.run('', autonomous);
  expect(it.rooms.runs.find(run).state).toBe('refused');
});

test('the image says what there is, a person approves what is new, and the second run goes by itself', async () => {
  const { it, server } = await daemonWith();
  const run = await it.submit('', autonomous);
  const request = await asked(it, run);
  expect(request.grows).toMatchObject({ name: 'frobnicate' });
  expect(request.rules.map(({ document, id }) => `${document}/${id}`)).toEqual([
    'autonomous/tool-not-allowed',
  ]);
  // The model was told what the image was found to have, and nothing ran but the two trials.
  const input = server.asked[0]?.body['input'] as { content: string }[];
  expect(input.at(-1)?.content).toContain('"programs":["frobnicate","node"]');
  expect(ofType(await it.records(run), 'task.started')).toEqual([]);
  await approve(it, request);
  await it.ended(run);
  expect(it.rooms.runs.find(run).state).toBe('succeeded');
  const binary = `sha256:${hex('a')}`;
  const program = { name: 'frobnicate', binary, standing: 'asked', started: true };
  expect(await rehearsedIn(it, run)).toEqual([['ok', [program]]]);
  const report = await runReport(it.rooms.runs, it.rooms.deps, run);
  expect(JSON.stringify(report)).toContain('frobnicate: new, so somebody is asked for it');

  const again = await it.run('', autonomous);
  expect(it.rooms.runs.find(again).state).toBe('succeeded');
  expect(ofType(await it.records(again), 'request.opened')).toEqual([]);
  expect(await rehearsedIn(it, again)).toEqual([['ok', [{ ...program, standing: 'allowed' }]]]);
});

test('another image asks again, also for the very same file', async () => {
  const { it } = await daemonWith();
  const run = await it.submit('', autonomous);
  await approve(it, await asked(it, run));
  await it.ended(run);
  const image = it.fake.images.get('node:20-alpine');
  if (image === undefined) throw new Error('no image');
  it.fake.images.set('node:20-alpine', { ...image, id: `sha256:${hex('2')}` });
  await it.rooms.deps.images.pin(it.log, 'node:20-alpine', user);
  const again = await it.submit('', autonomous);
  expect((await asked(it, again)).grows).toMatchObject({ image: `sha256:${hex('2')}` });
  await it.rooms.runs.cancel(again, 'test over', user);
  await it.ended(again);
});

test('whoever goes on from an autonomous run is asked as well', async () => {
  const { it } = await daemonWith();
  const run = await it.submit('', autonomous);
  const request = await asked(it, run);
  const no = { digest: request.shown, answer: 'deny', reason: 'not today' } as const;
  await it.rooms.deps.requests.answer(request.id, no, person(2001));
  await it.ended(run);
  const { id } = await it.rooms.runs.goOn(
    run,
    { mode: 'resume', again: false, dryRun: false },
    user,
  );
  if (id === undefined) throw new Error('nothing goes on');
  expect((await asked(it, id)).grows).toMatchObject({ name: 'frobnicate' });
  await it.rooms.runs.cancel(id, 'test over', user);
  await it.ended(id);
});

test('where the configuration says so every run is autonomous', async () => {
  const { it } = await daemonWith({ config: { autonomous: true } });
  const run = await it.submit('', { intent: autonomous.intent });
  await asked(it, run);
  await it.rooms.runs.cancel(run, 'test over', user);
  await it.ended(run);
});

test('where nobody asks for it nothing is tried, and no program is asked for', async () => {
  const { it } = await daemonWith({
    answers: [JSON.stringify({ tasks: [said({ tool: 'node' })] })],
  });
  const run = await it.run('', { intent: 'run it' });
  expect(await rehearsedIn(it, run)).toEqual([]);
  expect(ofType(await it.records(run), 'request.opened')).toEqual([]);
});
