import { expect, test } from 'vitest';
import { daemonWithRun, digest, runId, runView, taskView } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import type { RunView, TaskView } from '#contract/run.ts';

const esc = '\u001b';
const screen = { rows: 24, columns: 80 };

function execView(task: Partial<TaskView>, run: Partial<RunView> = {}): RunView {
  return runView({ tasks: [taskView({ id: 'exec', output: digest, ...task })], ...run });
}

test.each<[string, RunView, number]>([
  ['success', execView({ exitCode: 0 }), 0],
  ['its own code', execView({ state: 'failed', exitCode: 7 }, { state: 'failed', exitCode: 2 }), 7],
  [
    'a signal as a shell would say it',
    execView({ state: 'failed', signal: 'SIGKILL' }, { state: 'failed', exitCode: 2 }),
    137,
  ],
  [
    "Orchestra's code for a limit",
    execView(
      { state: 'timed_out', exitCode: 137, limit: 'timeout' },
      { state: 'timed_out', exitCode: 3 },
    ),
    3,
  ],
  ["Orchestra's code for a refusal", runView({ state: 'refused', exitCode: 4, tasks: [] }), 4],
])('exec ends with %s', async (_name, view, code) => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(view);
  const ran = orchestra(['exec', '--', 'true'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(code);
});

test('exec passes each stream on, byte for byte, and says nothing of its own', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(execView({ exitCode: 0 }));
  const bytes = Buffer.from([0x00, 0xff, 0x1b, 0x5b, 0x32, 0x4a, 0x0d]);
  daemon.answer('taskLog', {
    lines: [
      { t: 0, s: 1, b: bytes.toString('base64') },
      { t: 1, s: 2, d: 'err' },
      { t: 2, s: 1, d: 'ä\r\n' },
    ],
  });
  const ran = orchestra(['exec', '--', 'true'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(0);
  expect(ran.outBytes()).toEqual(Buffer.concat([bytes, Buffer.from('ä\r\n')]));
  expect(ran.err()).toBe('err');
});

test('exec gives the words after -- to the command, flags of its own name too', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(execView({ exitCode: 0 }));
  const args = ['exec', '--', 'npm', 'test', '--json', '--', '-v'];
  await orchestra(args, { cwd: dir.path, host: daemon.host }).code;
  const submitted = daemon.asked.find((each) => each.name === 'runSubmit');
  expect(submitted?.body).toMatchObject({ exec: ['npm', 'test', '--json', '--', '-v'] });
});

test('exec cleans what goes to a terminal, unless told not to', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(execView({ exitCode: 0 }));
  daemon.answer('taskLog', { lines: [{ t: 0, s: 1, d: `a${esc}[2Jb\n` }] });
  const around = { cwd: dir.path, host: daemon.host, screen };
  const cleaned = orchestra(['exec', '--', 'true'], around);
  await cleaned.code;
  expect(cleaned.out()).toBe('ab\n');
  const raw = orchestra(['exec', '--raw', '--', 'true'], around);
  await raw.code;
  expect(raw.out()).toBe(`a${esc}[2Jb\n`);
});

test('logs are cleaned even into a pipe, exact with --raw', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  daemon.answer('taskLog', { lines: [{ t: 0, s: 1, d: `10%\r100%${esc}]0;x\u0007\n` }] });
  const around = { cwd: dir.path, host: daemon.host };
  const cleaned = orchestra(['logs', runId, 'build'], around);
  await cleaned.code;
  expect(cleaned.out()).toBe('100%\n');
  const raw = orchestra(['logs', runId, 'build', '--raw'], around);
  await raw.code;
  expect(raw.out()).toBe(`10%\r100%${esc}]0;x\u0007\n`);
});

test('logs of several tasks carry the task in front of each line', async () => {
  await using dir = await tempDir();
  const tasks = ['build', 'test'].map((id) => taskView({ id, output: digest }));
  await using daemon = await daemonWithRun(runView({ tasks }));
  daemon.answer('taskLog', ({ params }) => ({
    lines: [{ t: 0, s: 1, d: `one\nof ${params['task']}` }],
  }));
  const ran = orchestra(['logs', runId], { cwd: dir.path, host: daemon.host });
  await ran.code;
  expect(
    ran
      .out()
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/)),
  ).toEqual([
    ['build', 'one'],
    ['build', 'of build'],
    ['test', 'one'],
    ['test', 'of test'],
  ]);
});

test.each([
  ['0', ''],
  ['1', '9\n'],
  ['3', '7\n8\n9\n'],
  ['100', '0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n'],
])('logs --tail %s shows as many lines', async (count, expected) => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const lines = Array.from({ length: 10 }, (_, at) => ({ t: at, s: 1, d: `${at}\n` }));
  daemon.answer('taskLog', { lines });
  const args = ['logs', runId, 'build', '--tail', count];
  const ran = orchestra(args, { cwd: dir.path, host: daemon.host });
  await ran.code;
  expect(ran.out()).toBe(expected);
});

test('logs of a task that the run does not have names those it has', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const ran = orchestra(['logs', runId, 'biuld'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(1);
  expect(ran.err()).toContain('its tasks: build');
});

test('logs -f joins tasks as they start and ends with the run', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  let asked = 0;
  daemon.answer('runShow', () => {
    asked += 1;
    const state = asked < 3 ? 'running' : 'succeeded';
    const tasks = [
      taskView({ id: 'a', state: 'running' }),
      taskView({ id: 'b', state: asked < 3 ? 'waiting' : 'succeeded', output: digest }),
    ];
    return { json: runView({ state, tasks }) };
  });
  const ran = orchestra(['logs', runId, '-f'], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(0);
  const followed = daemon.asked.filter((each) => each.name === 'taskLog');
  expect(followed.map((each) => [each.params['task'], each.query['follow']])).toEqual([
    ['a', 'true'],
    ['b', 'true'],
  ]);
});
