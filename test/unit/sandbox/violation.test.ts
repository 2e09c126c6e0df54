import { expect, test } from 'vitest';
import { violationOf, violationSentence } from '#daemon/sandbox/violation.ts';

const killed = { outcome: 'exited', exitCode: 159, signal: 'SIGSYS' } as const;

test('a task whose command the filter of system calls killed is a violation, with its evidence', () => {
  expect(violationOf(killed)).toEqual({
    kind: 'syscall',
    rule: 'seccomp',
    evidence: 'exit 159: SIGSYS',
  });
});

test('the reason names the rule and what was seen', () => {
  const violation = violationOf(killed);
  expect(violation && violationSentence(violation)).toMatch(/\(seccomp\).*exit 159: SIGSYS/);
});

test.each([
  ['that failed', { outcome: 'exited', exitCode: 1 }],
  ['that was killed for memory', { outcome: 'limit', exitCode: 137, signal: 'SIGKILL' }],
  ['that was cancelled while it died', { ...killed, outcome: 'cancelled' }],
  ['that ran out of time', { ...killed, outcome: 'timed_out' }],
  ['that succeeded', { outcome: 'exited', exitCode: 0 }],
] as const)('a task %s is none', (_what, judged) => {
  expect(violationOf(judged)).toBeUndefined();
});
