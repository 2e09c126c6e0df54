import { expect, test } from 'vitest';
import type { LogRecord } from '#contract/records.ts';
import {
  daemonWithRun,
  recordsOf,
  runId,
  runView,
  type FakeDaemon,
} from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

/** A daemon whose run goes on until somebody ends it. */
async function daemonAtWork(): Promise<{ daemon: FakeDaemon; end: () => void }> {
  const daemon = await daemonWithRun();
  const gate = Promise.withResolvers<void>();
  let isOver = false;
  async function* events(): AsyncGenerator<LogRecord> {
    await gate.promise;
    yield* recordsOf('failed', 2).slice(-1);
  }
  daemon
    .answer('runShow', () => ({
      json: isOver ? runView({ state: 'failed', exitCode: 2 }) : runView({ state: 'running' }),
    }))
    .answer('runEvents', () => ({ records: events() }));
  const end = () => {
    isOver = true;
    gate.resolve();
  };
  return { daemon, end };
}

test('wait ends with 3 when it took too long, and leaves the run alone', async () => {
  await using dir = await tempDir();
  const { daemon } = await daemonAtWork();
  await using _daemon = daemon;
  const args = ['wait', runId, '--timeout', '50ms', '--json'];
  const ran = orchestra(args, { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(3);
  expect(JSON.parse(ran.out())).toEqual({
    waited: { run: runId, state: 'running', timed_out: true, exit_code: 3 },
  });
  expect(daemon.namesAsked()).not.toContain('runCancel');
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends the wait with %d, not the run', async (signal, code) => {
  await using dir = await tempDir();
  const { daemon } = await daemonAtWork();
  await using _daemon = daemon;
  const ran = orchestra(['wait', runId], { cwd: dir.path, host: daemon.host });
  await expect.poll(() => daemon.namesAsked()).toContain('runEvents');
  ran.send(signal);
  expect(await ran.code).toBe(code);
  expect(daemon.namesAsked()).not.toContain('runCancel');
});

test('wait ends with the run and with its code, and asks for no record that was before', async () => {
  await using dir = await tempDir();
  const { daemon, end } = await daemonAtWork();
  await using _daemon = daemon;
  const ran = orchestra(['wait'], { cwd: dir.path, host: daemon.host });
  await expect.poll(() => daemon.namesAsked()).toContain('runEvents');
  end();
  expect(await ran.code).toBe(2);
  expect(ran.out()).toContain(`${runId} failed`);
  expect(daemon.asked.find((each) => each.name === 'runEvents')?.lastEventId).toBe('13');
});

test('a run that is over is not waited for', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(runView({ state: 'timed_out', exitCode: 3 }));
  expect(await orchestra(['wait', runId], { cwd: dir.path, host: daemon.host }).code).toBe(3);
  expect(daemon.namesAsked()).toEqual(['runShow']);
});

test.each([
  [[], { kind: 'drain' }, 'nothing new starts'],
  [['--freeze', '--reason', 'lunch'], { kind: 'freeze', reason: 'lunch' }, 'stands still'],
])('pause %j says which kind it is', async (args, body, words) => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const ran = orchestra(['pause', runId, ...args], { cwd: dir.path, host: daemon.host });
  expect(await ran.code).toBe(0);
  expect(daemon.asked[0]).toMatchObject({ name: 'runPause', params: { id: runId }, body });
  expect(ran.out()).toContain(words);
  expect(ran.err()).toContain(`orchestra resume ${runId} goes on`);
});
