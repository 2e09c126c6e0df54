import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { canAsk, confirm } from '#cli/terminal/ask.ts';
import { Client } from '#cli/client/client.ts';
import { Interrupts, type Context } from '#cli/context.ts';
import { goOn } from '#cli/run/go-on.ts';
import { Print } from '#cli/terminal/print.ts';
import type { ContinueAnswer, RunView } from '#contract/run.ts';
import {
  daemonWithRun,
  recordsOf,
  runId,
  runView,
  taskView,
  type FakeDaemon,
} from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const next = 'r-9876543210';
const failedTasks = [taskView({ id: 'install' }), taskView({ id: 'deploy', state: 'failed' })];
const failed = runView({ state: 'failed', exitCode: 2, tasks: failedTasks });
const plain: ContinueAnswer = { kept: ['install'], rerun: ['deploy'], twice: [] };
const risky: ContinueAnswer = { ...plain, twice: ['deploy'] };

/** A daemon with a failed run; what goes on from it is another one, which succeeds. */
async function daemonThatGoesOn(answer: ContinueAnswer, earlier = failed): Promise<FakeDaemon> {
  const daemon = await daemonWithRun(earlier);
  return daemon
    .answer('runContinue', ({ body }) => ({
      json: (body as { dryRun: boolean }).dryRun ? answer : { id: next, ...answer },
    }))
    .answer('runShow', ({ params }) => ({
      json: params['id'] === next ? runView({ id: next, tasks: failedTasks }) : earlier,
    }))
    .answer('runEvents', { records: recordsOf('succeeded', 0) });
}

function bodies(daemon: FakeDaemon, name: 'runContinue' | 'runImport'): unknown[] {
  return daemon.asked.filter((each) => each.name === name).map((each) => each.body);
}

async function ran(daemon: FakeDaemon, ...args: string[]) {
  await using dir = await tempDir();
  const command = orchestra(args, { cwd: dir.path, host: daemon.host });
  return { code: await command.code, out: command.out(), err: command.err() };
}

test('a task with side effects does not run twice where nobody can be asked', async () => {
  await using daemon = await daemonThatGoesOn(risky);
  const { code, err } = await ran(daemon, 'resume', runId);
  expect(code).toBe(6);
  expect(err).toContain('deploy has side effects and began before');
  expect(err).toContain(`orchestra resume ${runId} --again`);
  expect(bodies(daemon, 'runContinue')).toEqual([{ mode: 'resume', dryRun: true, again: false }]);
});

test('--again lets it, and is passed on', async () => {
  await using daemon = await daemonThatGoesOn(risky);
  expect((await ran(daemon, 'resume', runId, '--again')).code).toBe(0);
  expect(bodies(daemon, 'runContinue').at(-1)).toMatchObject({ dryRun: false, again: true });
});

test('--dry-run says what would happen and starts nothing, side effects or not', async () => {
  await using daemon = await daemonThatGoesOn(risky);
  const { code, out } = await ran(daemon, 'resume', runId, '--dry-run');
  expect(code).toBe(0);
  expect(out).toMatch(/keeps 1 of 2 tasks, runs 1/);
  expect(out).toMatch(/keeps +install\n +runs +deploy\n +twice +deploy/);
  expect(bodies(daemon, 'runContinue')).toHaveLength(1);
  const json = await ran(daemon, 'resume', runId, '--dry-run', '--json');
  expect(JSON.parse(json.out)).toEqual({ run: runId, ...risky });
});

test.each<[string, Partial<RunView>, number]>([
  ['succeeded', { state: 'succeeded', exitCode: 0 }, 0],
  ['was refused', { state: 'refused', exitCode: 4 }, 4],
  ['is under way', { state: 'running' }, 0],
])('a run that %s is left alone, and its exit code stays', async (why, view, exit) => {
  const { exitCode: _old, ...base } = runView();
  await using daemon = await daemonThatGoesOn(
    { ...plain, nothing: `it ${why}` },
    { ...base, ...view },
  );
  const { code, out } = await ran(daemon, 'resume', runId);
  expect(code).toBe(exit);
  expect(out).toContain(`Nothing to do for ${runId}: it ${why}`);
  expect(bodies(daemon, 'runContinue')).toHaveLength(1);
});

test('it follows the run that goes on, whose id is another, and ends with its code', async () => {
  await using daemon = await daemonThatGoesOn(plain);
  const { code, out, err } = await ran(daemon, 'resume', '@last-failed', '-j', '3');
  expect(code).toBe(0);
  expect(err).toContain(`Goes on from ${runId} (failed): keeps 1 of 2 tasks, runs 1`);
  expect(out).toContain(`${next} succeeded`);
  const asked = daemon.asked.filter((each) => each.name === 'runContinue');
  // By its id and not by `@last-failed`, which may be another run a moment later.
  expect(asked.map((each) => each.params['id'])).toEqual([runId, runId]);
  expect(asked.at(-1)?.body).toMatchObject({ concurrency: 3 });
});

test('without a run the last one is meant', async () => {
  await using daemon = await daemonThatGoesOn(plain);
  await ran(daemon, 'resume');
  expect(daemon.asked[0]).toMatchObject({ name: 'runShow', params: { id: '@last' } });
});

test('a paused run goes on under its own id', async () => {
  const paused = runView({
    state: 'paused',
    tasks: [taskView(), taskView({ id: 'test', state: 'waiting' })],
    paused: { kind: 'drain', by: 'uid:1', since: '2026-01-01T00:00:00.000Z', reason: '' },
  });
  await using daemon = await daemonThatGoesOn({ kept: [], rerun: [], twice: [] }, paused);
  let isLifted = false;
  daemon
    .answer('runContinue', ({ body }) => {
      isLifted ||= !(body as { dryRun: boolean }).dryRun;
      return { json: { id: runId, kept: [], rerun: [], twice: [] } };
    })
    .answer('runShow', () => ({ json: isLifted ? runView() : paused }));
  const { code, out, err } = await ran(daemon, 'resume', runId);
  expect(code).toBe(0);
  expect(err).toContain(`Lifts the pause of ${runId}: 1 of 2 tasks have ended`);
  expect(out).toContain(`${runId} succeeded`);
});

test.each([
  [['retry', runId, 'deploy'], { mode: 'retry', task: 'deploy' }],
  [['fork', runId, '--from', 'deploy'], { mode: 'fork', task: 'deploy' }],
])('%j asks for that', async (args, body) => {
  await using daemon = await daemonThatGoesOn(plain);
  expect((await ran(daemon, ...args)).code).toBe(0);
  expect(bodies(daemon, 'runContinue').at(-1)).toEqual({ ...body, dryRun: false, again: false });
});

test.each([
  ['fork without a task', ['fork', runId]],
  ['a run and a file', ['resume', runId, '--from', 'checkpoint.json']],
  ['a file that is not there', ['resume', '--from', 'none.json']],
  ['a policy for a run that has one', ['resume', runId, '--policy', 'ci']],
  ['a wrong timeout', ['resume', runId, '--timeout', 'soon']],
])('%s is a usage error, before anything is asked', async (_name, args) => {
  await using daemon = await daemonThatGoesOn(plain);
  await using dir = await tempDir();
  expect(await orchestra(args, { cwd: dir.path, host: daemon.host }).code).toBe(1);
  expect(daemon.asked).toEqual([]);
});

test.each([
  ['run', 'x'],
  ['resume', runId],
  ['retry', runId, 'deploy'],
  ['fork', runId, '--from', 'deploy'],
])('%s --detach where no daemon stays is refused before one is started', async (...words) => {
  await using dir = await tempDir();
  const state = path.join(dir.path, 'local');
  const args = [...words, '--detach', '--local', '--state-dir', state];
  const command = orchestra(args, { cwd: dir.path });
  expect(await command.code).toBe(1);
  expect(command.err()).toContain('--detach needs a daemon that stays');
  // A daemon would have made it.
  expect(existsSync(state)).toBe(false);
});

test.each(['nonsense', '[]', '{"version":"1"}', '{"version":1'])(
  'a file with %s is no checkpoint',
  async (text) => {
    await using daemon = await daemonThatGoesOn(plain);
    await using dir = await tempDir();
    await writeFile(path.join(dir.path, 'c.json'), text);
    const args = ['resume', '--from', 'c.json'];
    expect(await orchestra(args, { cwd: dir.path, host: daemon.host }).code).toBe(1);
    expect(daemon.asked).toEqual([]);
  },
);

test('a checkpoint goes to the daemon as it is, unknown words too: the daemon judges it', async () => {
  await using daemon = await daemonThatGoesOn(plain);
  await using dir = await tempDir();
  const checkpoint = { version: 2, run_id: runId, more: ['x'] };
  await writeFile(path.join(dir.path, 'c.json'), JSON.stringify(checkpoint));
  daemon.answer('runImport', ({ body }) => ({
    json: (body as { dryRun: boolean }).dryRun ? plain : { id: next, ...plain },
  }));
  const args = ['resume', '--from', 'c.json', '--policy', 'strict'];
  const command = orchestra(args, { cwd: dir.path, host: daemon.host });
  expect(await command.code).toBe(0);
  expect(bodies(daemon, 'runImport').at(-1)).toEqual({
    checkpoint,
    policy: { name: 'strict' },
    dryRun: false,
    again: false,
  });
});

test('--detach prints the new id and nothing else on stdout', async () => {
  await using daemon = await daemonThatGoesOn(plain);
  expect((await ran(daemon, 'resume', runId, '-d')).out).toBe(`${next}\n`);
});

test('names from the plan cannot steer the terminal', async () => {
  const evil = 'x\u001b]0;owned\u0007\u001b[2J\u202e\ny';
  await using daemon = await daemonThatGoesOn({ kept: [evil], rerun: [evil], twice: [evil] });
  for (const args of [[], ['--dry-run'], ['--again']]) {
    const { out, err } = await ran(daemon, 'resume', runId, ...args);
    // oxlint-disable-next-line no-control-regex -- they are what must not be there
    expect(out + err).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(out + err).not.toMatch(/^y/m);
  }
});

test('a local daemon ends with the command, so what it goes on with is followed to its end', async () => {
  await using dir = await tempDir();
  const { exitCode: _none, ...open } = runView({ state: 'running' });
  await using daemon = await daemonWithRun();
  const client = new Client(daemon.socketPath);
  const context = {
    ...terminal(''),
    cwd: dir.path,
    globals: { local: true, json: false },
    interrupts: new Interrupts(() => undefined),
  };
  context.env = { XDG_STATE_HOME: dir.path };
  const nothing = { kept: [], rerun: [], twice: [], nothing: 'it is under way' };
  const ask = () => Promise.resolve(nothing);
  const earlier = { id: runId, view: open, command: 'orchestra resume', ask };
  const people = {
    mode: 'fail',
    answers: new Map<string, string>(),
    spoken: new Set<string>(),
  } as const;
  const show = { output: 'quiet', reportDir: undefined, people } as const;
  const how = { again: false, dryRun: false, isDetached: false, show };
  expect(await goOn(context, client, earlier, how)).toBe(0);
  expect(daemon.namesAsked()).toContain('runEvents');
  client.close();
});

function terminal(input: string, env: Record<string, string> = {}): Context {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  stdin.end(input);
  const out = () => Object.assign(new PassThrough(), { isTTY: true });
  const io = { stdin, stdout: out(), stderr: out() };
  const options = { env, json: false, noColor: true, verbosity: 'normal' } as const;
  return { io, env, print: new Print(io, options) } as unknown as Context;
}

test.each([
  ['y\n', true],
  [' YES \r\n', true],
  ['n\n', false],
  ['\n', false],
  ['', false],
  ['yesterday\n', false],
])('the answer %j counts as %s', async (input, expected) => {
  expect(await confirm(terminal(input), 'Really?')).toBe(expected);
});

test('nobody is asked in CI, however much of a terminal there is', () => {
  expect(canAsk(terminal(''))).toBe(true);
  expect(canAsk(terminal('', { CI: 'true' }))).toBe(false);
});
