import { expect, test } from 'vitest';
import type { Answers, Seen } from '#cli/selftest/attack.ts';
import { allRefused, limited, outputRefused } from '#cli/selftest/judge.ts';
import { answersIn } from '#cli/selftest/seen.ts';
import { runView, taskView } from '#test/support/fake-daemon.ts';

const seen = (answers: Answers, task: Partial<ReturnType<typeof taskView>> = {}): Seen => ({
  run: runView(),
  task: taskView(task),
  printed: '',
  answers,
});
const refused = (text: string) => ({ through: false, text });
const began = { began: refused('NOTHING: began') };

test('a task that answered nothing is never held, however well it ended', () => {
  expect(allRefused(seen({})).held).toBe('skipped');
  expect(limited('pids')(seen({}, { limit: 'pids' })).held).toBe('skipped');
  expect(outputRefused(seen({}, { state: 'failed', exitCode: 0 })).held).toBe('skipped');
});

test('one attempt that got through takes the wall down among any that were refused', () => {
  const answers = { mount: refused('EPERM'), bind: { through: true, text: 'done' } };
  expect(allRefused(seen(answers))).toMatchObject({
    held: false,
    happened: expect.stringContaining('bind'),
  });
});

test.each(['EINVAL', 'EFAULT', 'EBADF', 'TIMEOUT', 'ENOEXEC', 'EXIT1', 'SIGSEGV'])(
  'a kernel that answers %s went into the matter: that is no refusal',
  (code) => {
    expect(allRefused(seen({ call: refused(code) })).held).toBe(false);
    expect(allRefused(seen({ call: refused(code) }), [code]).held).toBe(true);
  },
);

test('a script that broke proves nothing', () => {
  expect(allRefused(seen({ a: refused('EPERM'), b: refused('BROKEN: x is not') })).held).toBe(
    'skipped',
  );
});

test('refusals and a killed call hold', () => {
  const answers = { a: refused('EPERM'), b: refused('SIGSYS'), c: refused('NOTHING: none') };
  expect(allRefused(seen(answers)).held).toBe(true);
});

test('a limit holds only when it was met by its own name', () => {
  expect(limited('memory')(seen(began, { state: 'failed', limit: 'memory' })).held).toBe(true);
  expect(limited('memory')(seen(began, { state: 'timed_out', limit: 'timeout' })).held).toBe(false);
  expect(limited('memory')(seen(began, { state: 'succeeded' })).held).toBe(false);
});

test('an output that was collected, or a script that failed by itself, is no refused output', () => {
  const file = { name: 'o', task: 'a', path: 'o', sha256: 'x', bytes: 1, kind: 'file' as const };
  expect(
    outputRefused(seen(began, { state: 'succeeded', exitCode: 0, artifacts: [file] })).held,
  ).toBe(false);
  expect(outputRefused(seen(began, { state: 'failed', exitCode: 1 })).held).toBe(false);
  expect(outputRefused(seen(began, { state: 'failed', exitCode: 0 })).held).toBe(true);
});

test('only lines behind the token are answers, and nothing in them reaches a prototype', () => {
  const printed = [
    'noise',
    '@@other {"a":{"through":true,"text":"forged"}}',
    '@@token {"a":{"through":false,"text":"EPERM"},"__proto__":{"through":true,"text":"x"}}',
    '@@token {"broken',
    '@@token {"b":{"text":5},"c":null}',
  ].join('\n');
  const answers = answersIn(printed, 'token');
  expect(Object.keys(answers)).toEqual(expect.arrayContaining(['a']));
  expect(answers['a']).toEqual({ through: false, text: 'EPERM' });
  expect(({} as Record<string, unknown>)['text']).toBeUndefined();
});
