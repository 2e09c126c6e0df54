import { expect, test } from 'vitest';
import type { Hint } from '#contract/hints.ts';
import { daemonWithRun, runId, runView, taskReceipt, taskView } from '#test/support/fake-daemon.ts';
import { orchestra } from '#test/support/run-orchestra.ts';
import { tempDir } from '#test/support/temp-dir.ts';

const hint: Hint = {
  id: 'network.name',
  rule: 'network.none',
  basis: 'output',
  title: 'a sandbox has no network',
  remedy: 'bring it along',
  line: 'getaddrinfo \u001b]0;owned\u0007EAI_AGAIN \u202ex',
};

type Daemon = Awaited<ReturnType<typeof daemonWithRun>>;

async function said(daemon: Daemon, ...args: string[]) {
  await using dir = await tempDir();
  const ran = orchestra(args, { cwd: dir.path, host: daemon.host });
  return { code: await ran.code, out: ran.out(), err: ran.err() };
}

test('each setting has a row with who decided it, and a line with what would change it', async () => {
  await using daemon = await daemonWithRun();
  const { code, out } = await said(daemon, 'explain', runId, 'build');
  expect(code).toBe(0);
  expect(out).toMatch(/^SETTING +REQUESTED +EFFECTIVE +DECIDED BY$/m);
  expect(out).toMatch(
    /^limits\.memory +1 GiB +1 GiB, no swap +rule limits; policy default: limits\.memory$/m,
  );
  expect(out).toContain('to change it: `limits.memory` of policy default');
});

test('a task without a sandbox shows every reason with its rule and its remedy', async () => {
  await using daemon = await daemonWithRun();
  const reasons = [
    { rule: 'runtime', message: 'runtime runc is not allowed', change: 'add it' },
    { message: 'and another' },
  ];
  daemon.answer('taskReceipt', { json: taskReceipt({ settings: [], reasons, state: 'refused' }) });
  const { out } = await said(daemon, 'explain', runId, 'build');
  expect(out).toContain('no sandbox was released');
  expect(out).toContain('runtime: runtime runc is not allowed\n  to change it: add it');
  expect(out).toContain('and another');
});

test('an attempt that is named is asked for, and one that is none is refused', async () => {
  await using daemon = await daemonWithRun();
  await said(daemon, 'explain', runId, 'build', '--attempt', '2');
  expect(daemon.asked.at(-1)).toMatchObject({ name: 'taskReceipt', query: { attempt: '2' } });
  expect((await said(daemon, 'explain', runId, 'build', '--attempt', '0')).code).toBe(1);
});

test('without a task the only one is meant, or the first that failed', async () => {
  const tasks = [taskView(), taskView({ id: 'test', state: 'failed' })];
  await using daemon = await daemonWithRun(runView({ tasks }));
  await said(daemon, 'explain', runId);
  expect(daemon.asked.at(-1)?.params).toMatchObject({ task: 'test' });
});

test('without a task among several that are well the names are told', async () => {
  const tasks = [taskView(), taskView({ id: 'test' })];
  await using daemon = await daemonWithRun(runView({ tasks }));
  const { code, err } = await said(daemon, 'explain', runId);
  expect(code).toBe(1);
  expect(err).toContain('one of build, test');
});

test.each([
  ['run', ['run', 'Build it']],
  ['show', ['show', runId]],
  ['explain', ['explain', runId, 'build']],
  ['exec', ['exec', '--', 'ls']],
])('%s shows a wall as a guess, its line harmless', async (_name, args) => {
  const tasks = [taskView({ state: 'failed', exitCode: 1, hints: [hint] })];
  await using daemon = await daemonWithRun(runView({ state: 'failed', exitCode: 2, tasks }));
  daemon.answer('taskReceipt', { json: taskReceipt({ hints: [hint] }) });
  const { out, err } = await said(daemon, ...args);
  const all = out + err;
  expect(all).toContain('network.none: a sandbox has no network (a guess from its output)');
  expect(all).toContain('do: bring it along');
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  expect(all).not.toMatch(/[\u001b\u0007\u202e]/);
});

test('a wall that is on record is no guess', async () => {
  const { line: _line, ...sure } = hint;
  const tasks = [taskView({ state: 'failed', hints: [{ ...sure, basis: 'record' }] })];
  await using daemon = await daemonWithRun(runView({ state: 'failed', exitCode: 2, tasks }));
  const { out } = await said(daemon, 'show', runId);
  expect(out).toContain('network.none: a sandbox has no network\n');
});

test('--json carries the hints for a planner', async () => {
  const tasks = [taskView({ state: 'failed', hints: [hint] })];
  await using daemon = await daemonWithRun(runView({ state: 'failed', exitCode: 2, tasks }));
  const { out } = await said(daemon, 'show', runId, '--json');
  expect(JSON.parse(out)).toMatchObject({ tasks: [{ hints: [hint] }] });
});

test('a task that ran although it had run before says what was another then', async () => {
  await using daemon = await daemonWithRun();
  const differs = { since: 'r-9876543210', what: 'src/\u001b[2Ja.ts is another file' };
  daemon.answer('taskReceipt', { json: taskReceipt({ differs }) });
  const { out } = await said(daemon, 'explain', runId, 'build');
  expect(out).toContain('Ran anew  since r-9876543210: src/<U+001B>[2Ja.ts is another file');
});

test('a task whose result came from another run says where to ask how it was made', async () => {
  const from = { run: 'r-9876543210', task: 'build', why: 'cache' } as const;
  await using daemon = await daemonWithRun(
    runView({ tasks: [taskView({ state: 'cached', from })] }),
  );
  daemon.answer('taskReceipt', { json: taskReceipt({ settings: [], state: 'cached' }) });
  const { out, err } = await said(daemon, 'explain', runId, 'build');
  expect(out).toContain('Result    same as in r-9876543210');
  expect(err).toContain('orchestra explain r-9876543210 build');
});
