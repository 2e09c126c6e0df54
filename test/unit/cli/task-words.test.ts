import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Activity } from '#cli/run/activity.ts';
import {
  attemptWords,
  blockedWords,
  comesFrom,
  earlierAttempts,
  etaWords,
  failureLines,
  flakyWords,
  retryWords,
} from '#cli/run/task-words.ts';
import { liveRows } from '#cli/run/tree.ts';
import type { Styles } from '#cli/terminal/print.ts';
import { failureClasses, type AttemptView, type TaskView } from '#contract/run.ts';
import { chained, daemonWithRun, runId, runView, taskView } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const other = 'r-9876543210';
const nowMs = Date.parse('2026-01-01T00:01:00.000Z');
const same = (text: string) => text;
const styles: Styles = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same };
const screen = { rows: 20, columns: 120, nowMs, styles };
const first: AttemptView = { attempt: 1, outcome: 'failed', exitCode: 1, reason: 'exit 1' };

// oxlint-disable-next-line no-control-regex -- they are what must not be there
const steering = /[\u0000-\u001f\u007f-\u009f\u202e]/;

test('whatever the texts of a task are, no word about it can steer a terminal or end its line', () => {
  const text = fc.string({ unit: 'binary', maxLength: 40 });
  fc.assert(
    fc.property(text, text, text, (name, reason, step) => {
      const task = taskView({
        attempt: 2,
        attempts: [{ ...first, reason }],
        flaky: true,
        reason,
        blockedBy: name,
        from: { run: other, task: name, why: 'cache' },
        failure: { class: 'code', rule: name, next: [step] },
      });
      const said = [
        comesFrom(task),
        attemptWords(task),
        ...earlierAttempts(task),
        retryWords(task, nowMs),
        blockedWords(task),
        flakyWords(task),
        ...failureLines(task.failure),
      ];
      for (const words of said) expect(words).not.toMatch(steering);
    }),
  );
});

test('a task that did not run says whose result it is', () => {
  const from = { run: other, task: 'build', why: 'cache' } as const;
  expect(comesFrom(taskView({ from }))).toBe(`same as in ${other}`);
  expect(comesFrom(taskView({ from: { ...from, task: 'old' } }))).toBe(`same as in ${other} (old)`);
  expect(comesFrom(taskView({ from: { ...from, why: 'resumed' } }))).toBe(`kept from ${other}`);
});

test('attempts before the last one are told, with how each ended', () => {
  const lost: AttemptView = { attempt: 2, outcome: 'lost', durationMs: 3000 };
  const task = taskView({ attempt: 3, attempts: [first, lost] });
  expect(attemptWords(task)).toBe('attempt 3, 2 was lost');
  expect(attemptWords({ ...task, attempt: 2, state: 'waiting' })).toBe('attempt 2 was lost');
  expect(earlierAttempts(task)).toEqual(['attempt 1 exit 1', 'attempt 2 was lost, 3.0s']);
});

test('a task that waits for its next attempt counts the time down', () => {
  const task = taskView({
    state: 'retry_wait',
    attempts: [first],
    retryAt: '2026-01-01T00:01:03.500Z',
  });
  expect(retryWords(task, nowMs)).toBe('attempt 2 in 4s, 1 exit 1');
  expect(retryWords(task, nowMs + 10_000)).toBe('attempt 2 now, 1 exit 1');
});

test('a flaky task is never hidden: it says what failed first, here or in an earlier run', () => {
  expect(flakyWords(taskView())).toBeUndefined();
  expect(flakyWords(taskView({ flaky: true, attempts: [first] }))).toBe('flaky: attempt 1 exit 1');
  expect(flakyWords(taskView({ flaky: true }))).toContain('failed before');
});

test('every class of failure has its words, and the first steps are said', () => {
  for (const kind of failureClasses) {
    const next = ['one', 'two', 'three', 'four'];
    const lines = failureLines({ class: kind, rule: 'r-1', next });
    expect(lines[0]).toMatch(/^\w+: .* \(rule r-1\)$/);
    expect(lines.slice(1)).toEqual(['  do: one', '  do: two', '  do: three']);
  }
});

test('what is left is rounded to what a guess is worth, and never below nothing', () => {
  expect(etaWords(1)).toBe('about 5s left');
  expect(etaWords(58_000)).toBe('about 60s left');
  expect(etaWords(61_000)).toBe('about 2m left');
  expect(etaWords(3_600_000)).toBe('about 1h00m left');
  expect(etaWords(0)).toBeUndefined();
  expect(etaWords(-5)).toBeUndefined();
});

function drawn(tasks: TaskView[], run: Parameters<typeof runView>[0] = {}, seenMs = nowMs): string {
  const { durationMs: _over, ...base } = runView({ state: 'running', tasks, ...run });
  return liveRows(base, { ...screen, seenMs }).join('\n');
}

test('the tree shows retries, what is out of order, and where results came from', () => {
  const picture = drawn([
    taskView({ id: 'install', state: 'cached' }),
    taskView({ id: 'unit', state: 'retry_wait', attempts: [first] }),
    taskView({ id: 'lint', state: 'blocked', blockedBy: 'engine', reason: 'does not answer' }),
    taskView({ id: 'e2e', state: 'running', attempt: 2, attempts: [first], title: 'All' }),
  ]);
  expect(picture).toMatch(/unit +retrying +attempt 2 now, 1 exit 1/);
  expect(picture).toMatch(/lint +blocked +for engine: does not answer/);
  expect(picture).toMatch(/e2e +running +attempt 2, 1 exit 1 · All/);
  expect(picture).toMatch(/1 done \(1 cached\) {2}1 running {2}1 to be tried again {2}1 blocked/);
});

test('the time that is left is counted down between two pictures, and then not said', () => {
  const tasks = [taskView({ state: 'running' })];
  expect(drawn(tasks, { etaMs: 30_000 })).toContain('about 30s left');
  expect(drawn(tasks, { etaMs: 30_000 }, nowMs - 20_000)).toContain('about 10s left');
  expect(drawn(tasks, { etaMs: 30_000 }, nowMs - 40_000)).not.toContain('left');
});

test('a paused run says who paused it and for how long, and promises no end', () => {
  const since = '2026-01-01T00:00:30.000Z';
  const paused = { kind: 'freeze', by: 'maria', since, reason: 'lunch' } as const;
  const waiting = [taskView({ state: 'waiting' })];
  const picture = drawn(waiting, { state: 'paused', paused, etaMs: 5000 });
  expect(picture).toContain('frozen by maria for 30.0s: lunch');
  expect(picture).toContain('for the pause to end');
  expect(picture).not.toContain('left');
});

test('pauses and restarts leave a line of their own', () => {
  const activity = new Activity();
  const lines = chained([
    { type: 'run.pause.requested', data: { kind: 'drain', reason: 'x\u001b[2J' } },
    { type: 'run.unpaused', data: { reason: '' } },
    { type: 'run.recovered', data: { done: 3, adopted: 1, lost: 2 } },
  ]).map((record) => activity.see(record));
  expect(lines[0]).toContain(`uid:1000: x<U+001B>[2J); orchestra resume ${runId} goes on`);
  expect(lines[1]).toContain('goes on');
  expect(lines[2]).toContain('3 done, 1 still at work, 2 lost');
});

const eventful = runView({
  state: 'failed',
  exitCode: 2,
  continues: { run: other, mode: 'resume' },
  tasks: [
    taskView({
      id: 'install',
      state: 'cached',
      from: { run: other, task: 'install', why: 'resumed' },
    }),
    taskView({ id: 'lint', flaky: true, attempt: 2, attempts: [first] }),
    taskView({
      id: 'unit',
      state: 'failed',
      attempt: 2,
      attempts: [first],
      exitCode: 1,
      failure: { class: 'code', rule: 'exit.code', next: ['orchestra logs RUN unit'] },
    }),
  ],
});

test.each([['show'], ['watch']])(
  '%s tells attempts, classes, flakiness and origins',
  async (name) => {
    await using dir = await tempDir();
    await using daemon = await daemonWithRun(eventful);
    const ran = orchestra([name, runId], { cwd: dir.path, host: daemon.host });
    await ran.code;
    const text = ran.out();
    expect(text).toContain('2 ok (1 cached), 1 failed');
    expect(text).toMatch(new RegExp(`goes on from +${other}`, 'i'));
    expect(text).toContain('flaky: attempt 1 exit 1');
    expect(text).toContain('attempt 1 exit 1');
    expect(text).toContain('code: what the task checks is not right (rule exit.code)');
    expect(text).toContain('do: orchestra logs RUN unit');
    if (name === 'show') expect(text).toContain(`kept from ${other}`);
    else expect(text).toContain(`orchestra resume ${runId}  (keeps 2, runs 1)`);
  },
);

test('plain lines name the origin of a result and the number of an attempt', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(eventful);
  const ran = orchestra(['watch', runId, '--output', 'plain'], {
    cwd: dir.path,
    host: daemon.host,
  });
  await ran.code;
  expect(ran.err()).toMatch(new RegExp(`cached {2}install {2}kept from ${other}`));
  expect(ran.err()).toMatch(/failed {2}unit {2}attempt 2, 1 exit 1/);
});

test.each([
  ['was refused', runView({ state: 'refused', exitCode: 1, tasks: [] })],
  ['went on elsewhere', { ...eventful, continuedBy: other }],
])('no resume is suggested for a run that %s', async (_name, view) => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun(view);
  const ran = orchestra(['watch', runId], { cwd: dir.path, host: daemon.host });
  await ran.code;
  expect(ran.out()).toContain(`orchestra show ${runId}`);
  expect(ran.out()).not.toContain('orchestra resume');
});

test('run passes on that nothing may come from the cache, and its priority', async () => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const args = ['run', 'x', '--no-cache', '--priority', '-5'];
  expect(await orchestra(args, { cwd: dir.path, host: daemon.host }).code).toBe(0);
  const plain = ['run', 'x'];
  expect(await orchestra(plain, { cwd: dir.path, host: daemon.host }).code).toBe(0);
  const exec = ['exec', '--', 'date'];
  await orchestra(exec, { cwd: dir.path, host: daemon.host }).code;
  const bodies = daemon.asked.filter((each) => each.name === 'runSubmit').map((each) => each.body);
  expect(bodies[0]).toMatchObject({ cache: false, priority: -5 });
  expect(bodies[1]).not.toHaveProperty('cache');
  expect(bodies[1]).not.toHaveProperty('priority');
  expect(bodies[2]).toMatchObject({ cache: false });
});

test.each(['101', '-101', 'high', '1.5'])('the priority %s is refused', async (priority) => {
  await using dir = await tempDir();
  await using daemon = await daemonWithRun();
  const args = ['run', 'x', '--priority', priority];
  expect(await orchestra(args, { cwd: dir.path, host: daemon.host }).code).toBe(1);
  expect(daemon.asked).toEqual([]);
});
