import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { LogRecord } from '#contract/records.ts';
import type { RunState } from '#contract/run.ts';
import {
  daemonWithRun,
  digest,
  recordsOf,
  runId,
  runView,
  taskView,
  type FakeDaemon,
} from '#test/support/fake-daemon.ts';
import { orchestra, type Ran } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

test.each<[RunState, number]>([
  ['succeeded', 0],
  ['failed', 2],
  ['timed_out', 3],
  ['violated', 4],
  ['cancelled', 6],
  ['refused', 1],
])('a run that is %s ends with %d', async (state, code) => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(runView({ state, exitCode: code }));
  const ran = orchestra(['run', 'Build'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(code);
  const lastLine = ran.out().trimEnd().split('\n').at(-1);
  expect(lastLine).toMatch(code === 0 ? /^ +orchestra apply/ : new RegExp(`^exit ${code}, `));
});

test('the folder of the run holds report, plan, checkpoint and the exact bytes of each log', async () => {
  await using dir = await tempDir();
  const tasks = [taskView({ id: 'test:unit', output: digest })];
  await using daemon = await daemonWithRun(runView({ tasks }));
  const bytes = Buffer.from([0x1b, 0x5b, 0x32, 0x4a, 0xff, 0x00]);
  daemon.answer('taskLog', { lines: [{ t: 0, s: 1, b: bytes.toString('base64') }] });
  expect(await orchestra(['run', 'x'], { cwd: dir.path, host: daemon.host }).code).toBe(0);
  const folder = path.join(dir.path, 'runs', runId);
  const names = (await readdir(folder, { recursive: true })).toSorted();
  expect(names).toEqual([
    'checkpoint.json',
    'logs',
    'logs/test.unit.log',
    'plan.json',
    'report.md',
  ]);
  expect(await readFile(path.join(folder, 'logs/test.unit.log'))).toEqual(bytes);
});

test.each(['runs', `runs/${runId}`, `runs/${runId}/logs`])(
  'a link at %s is not followed',
  async (place) => {
    await using dir = await tempDir();
    await using outside = await tempDir();
    await using daemon = await daemonWithRun();
    await mkdir(path.dirname(path.join(dir.path, place)), { recursive: true });
    await symlink(outside.path, path.join(dir.path, place));
    const ran = orchestra(['run', 'x'], { cwd: dir.path, host: daemon.host });
    expect(await ran.code).toBe(0);
    expect(ran.err()).toContain('links are not followed');
    expect(await readdir(outside.path)).toEqual([]);
  },
);

test('a link at the place of a file is replaced, what it points to is left alone', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const precious = path.join(dir.path, 'precious');
  await writeFile(precious, 'mine');
  const folder = path.join(dir.path, 'runs', runId);
  await mkdir(folder, { recursive: true });
  await symlink(precious, path.join(folder, 'report.md'));
  await orchestra(['run', 'x'], { cwd: dir.path, host: daemon.host }).code;
  expect(await readFile(precious, 'utf8')).toBe('mine');
  expect(await readFile(path.join(folder, 'report.md'), 'utf8')).toBe('# Report\n');
});

test('a task whose name is a path writes no log at all', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(
    runView({ tasks: [taskView({ id: '../../evil', output: digest })] }),
  );
  const ran = orchestra(['run', 'x'], { cwd: dir.path, host: daemon.host });
  await ran.code;
  expect((await readdir(dir.path, { recursive: true })).join()).not.toContain('evil');
});

/** A daemon whose run goes on until it is cancelled. */
async function runningDaemon(): Promise<{ daemon: FakeDaemon; cancelled: () => boolean }> {
  const daemon = await daemonWithRun();
  const gate = Promise.withResolvers<void>();
  let isCancelled = false;
  const records = recordsOf('cancelled', 6);
  async function* events(): AsyncGenerator<LogRecord> {
    yield* records.slice(0, 2);
    await gate.promise;
    yield* records.slice(2);
  }
  daemon
    .answer('runShow', () => ({
      json: isCancelled
        ? runView({ state: 'cancelled', exitCode: 6 })
        : runView({ state: 'running', tasks: [taskView({ state: 'running' })] }),
    }))
    .answer('runEvents', () => ({ records: events() }))
    .answer('runCancel', () => {
      isCancelled = true;
      gate.resolve();
      return { json: { id: runId } };
    });
  return { daemon, cancelled: () => isCancelled };
}

async function untilAsked(daemon: FakeDaemon, name: string): Promise<void> {
  await expect.poll(() => daemon.namesAsked()).toContain(name);
}

async function start(daemon: FakeDaemon, cwd: string): Promise<Ran> {
  const ran = orchestra(['run', 'x'], { cwd, host: daemon.host });
  await untilAsked(daemon, 'runEvents');
  return ran;
}

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s cancels the run, waits for its end and exits with %d', async (signal, code) => {
  await using dir = await tempDir();
  const { daemon, cancelled } = await runningDaemon();
  await using _daemon = daemon;
  const ran = await start(daemon, dir.path);
  ran.send(signal);
  expect(await ran.code).toBe(code);
  expect(cancelled()).toBe(true);
  expect(ran.out()).toContain('cancelled');
});

test('the second Ctrl-C leaves the run to itself', async () => {
  await using dir = await tempDir();
  const { daemon } = await runningDaemon();
  await using _daemon = daemon;
  daemon.answer('runCancel', { json: { id: runId } });
  const ran = await start(daemon, dir.path);
  ran.send('SIGINT');
  ran.send('SIGINT');
  expect(await ran.code).toBe(130);
  expect(ran.err()).toContain(`left ${runId} to itself`);
});

test('where the daemon went away, it says how to take the run up again', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  daemon.answer('runShow', { problem: 'daemon.unreachable' });
  const ran = orchestra(['run', 'x'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(5);
  expect(ran.err()).toContain(`orchestra watch ${runId}`);
});

test('Ctrl-C while watching stops watching and cancels nothing', async () => {
  await using dir = await tempDir();
  const { daemon, cancelled } = await runningDaemon();
  await using _daemon = daemon;
  const ran = orchestra(['watch', runId], { cwd: dir.path, host: daemon.host });
  await untilAsked(daemon, 'runEvents');
  ran.send('SIGINT');
  expect(await ran.code).toBe(130);
  expect(cancelled()).toBe(false);
});

test.each([
  ['a record that is missing', (records: LogRecord[]) => records.toSpliced(1, 1)],
  [
    'a record that was changed',
    (records: LogRecord[]) =>
      records.with(1, { ...(records[1] as LogRecord), ts: '2026-01-01T00:00:09.000Z' }),
  ],
])("%s among the run's own makes it exit 4", async (_name, forge) => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  daemon.answer('runEvents', { records: forge(recordsOf('succeeded', 0)) });
  const ran = orchestra(['run', 'x'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(4);
  expect(ran.out()).toContain('BROKEN');
});

test('flags go before the configuration, whose paths are meant from its own folder', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  await mkdir(path.join(dir.path, 'conf'));
  await writeFile(path.join(dir.path, 'conf/plan.yaml'), 'version: 1\n');
  await writeFile(
    path.join(dir.path, 'conf/cli.yaml'),
    'plan: plan.yaml\nconcurrency: 3\ntimeout: 5m\npolicy: strict\n',
  );
  const args = ['run', 'x', '-c', 'conf/cli.yaml', '-j', '2'];
  expect(await orchestra(args, { cwd: dir.path, host: daemon.host }).code).toBe(0);
  const submitted = daemon.asked.find((each) => each.name === 'runSubmit');
  expect(submitted?.body).toMatchObject({
    concurrency: 2,
    timeoutMs: 300_000,
    policy: { name: 'strict' },
    plan: { text: 'version: 1\n', file: 'conf/plan.yaml' },
  });
});

test('a broken configuration is told by line and column, with the word that was meant', async () => {
  await using dir = await tempDir();
  await writeFile(path.join(dir.path, 'c.yaml'), 'timeout: 10 minutes\nconcurency: 2\n');
  const ran = orchestra(['run', 'x', '-c', 'c.yaml'], { cwd: dir.path });
  expect(await ran.code).toBe(1);
  expect(ran.err()).toContain('c.yaml:1:10  timeout: not a duration');
  expect(ran.err()).toContain('c.yaml:2:1  unknown key concurency (did you mean concurrency?)');
});

test.each([
  ['nothing to do', ['run']],
  ['--local with --host', ['run', 'x', '--local', '--host', 'unix:///x']],
  ['a wrong concurrency', ['run', 'x', '-j', '0']],
  ['a wrong timeout', ['run', 'x', '--timeout', 'soon']],
  ['a plan that is not there', ['run', '--plan', 'none.yaml']],
])('%s is a usage error', async (_name, args) => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  expect(await orchestra(args, { cwd: dir.path, host: daemon.host }).code).toBe(1);
  expect(daemon.namesAsked()).not.toContain('runSubmit');
});

test('--detach prints the id and nothing else on stdout', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const ran = orchestra(['run', 'x', '-d'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(0);
  expect(ran.out()).toBe(`${runId}\n`);
});

test('names and reasons from outside cannot steer the terminal', async () => {
  await using dir = await tempDir();
  const evil = 'x\u001b]0;owned\u0007\u001b[2J\u202e';
  const tasks = [taskView({ id: 'build', state: 'failed', title: evil, reason: evil })];
  await using daemon = await daemonWithRun(
    runView({ state: 'failed', exitCode: 2, intent: evil, reasons: [evil], tasks }),
  );
  for (const args of [['run', 'x'], ['show', '@last'], ['runs']]) {
    const ran = orchestra(args, { cwd: dir.path, host: daemon.host });
    await ran.code;
    // oxlint-disable-next-line no-control-regex -- they are what must not be there
    expect(ran.out() + ran.err()).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  }
});
