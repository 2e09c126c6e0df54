import { expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import { recordTypes } from '#contract/records.ts';
import { afterFailure, blamed, type EndedAttempt } from '#daemon/runs/failures/after-failure.ts';
import { failureTail } from '#daemon/runs/failures/tail.ts';
import { OutputTail } from '#daemon/sandbox/output-tail.ts';

const limits = { memoryBytes: 2 ** 30, timeoutMs: 60_000 } as EndedAttempt['task']['limits'];
const over = (more: Partial<EndedAttempt> = {}): EndedAttempt => ({
  run: 'r-0123456789',
  task: { id: 'build', command: ['npm', 'run', 'build'], limits },
  ended: { attempt: 2, outcome: 'failed', exit_code: 1 },
  began: true,
  used: { task: 0, ours: 0 },
  random: () => 0.5,
  ...more,
});

/** A tail of what went to stdout and to stderr. */
function tailOf(output: string, errors = ''): OutputTail {
  const tail = new OutputTail();
  tail.see(1, Buffer.from(output));
  tail.see(2, Buffer.from(errors));
  return tail;
}

test('a failure without another attempt is told as the last word', () => {
  const after = afterFailure(over({ tail: tailOf('', 'src/a.ts(1,1): error TS1005: no') }));
  expect(after).toMatchObject({ failure: { attempt: 2, class: 'code', rule: 'compiler' } });
  expect(after.retry).toBe(undefined);
  recordTypes['failure.classified'].data.parse(after.failure);
});

test('the next attempt has the next number, a wait, and the budget that pays', () => {
  const error = new OrchestraError('engine.unavailable', 'nothing answers');
  const ended = { attempt: 2, outcome: 'unknown' } as const;
  const after = afterFailure(over({ ended, error }));
  expect(after.retry).toEqual({ attempt: 3, after_ms: 375, budget: 'ours', left: 2 });
  recordTypes['retry.scheduled'].data.parse(after.retry);
});

test('an error blames what it names, and the runtime for a start that was refused', () => {
  const refused = new OrchestraError('engine.failed', 'refused');
  expect([blamed(refused, 'crun'), blamed(refused)]).toEqual(['runtime:crun', 'engine']);
  expect(blamed(new OrchestraError('engine.unavailable', 'gone'), 'crun')).toBe('engine');
  expect(blamed(new OrchestraError('disk.full', 'full'), 'crun')).toBe(undefined);
  expect(blamed(new Error('engine.failed'))).toBe(undefined);
});

test('a limit that ended it is compared with that of the task and of the policy', () => {
  const ended = { attempt: 1, outcome: 'failed', exit_code: 137, limit: 'memory' } as const;
  const most = { ...limits, memoryBytes: 3 * 2 ** 29 };
  const { failure } = afterFailure(over({ ended, most }));
  expect(failure).toMatchObject({ class: 'resource', rule: 'oom' });
  expect(failure.next[0]).toContain('limits: { memory: 1536MiB }');
});

test('what is no error of Orchestra has no code to judge by', () => {
  expect(afterFailure(over({ error: new Error('EADDRINUSE') })).failure.rule).toBe('unknown');
});

test('the tail has half of each stream where both are long, and one alone has all of it', () => {
  const both = failureTail(tailOf('o'.repeat(9_000), 'e'.repeat(9_000)));
  expect([both.length, both.indexOf('e')]).toEqual([4096, 2048]);
  // One line is never more than its first 2048 characters.
  const alone = failureTail(tailOf(`${'o'.repeat(60)}\n`.repeat(200)));
  expect(alone).toHaveLength(4096);
});

test('the tail has nothing in it that steers a terminal', () => {
  expect(failureTail(tailOf('\u001b[31mred\u001b[0m\r\n', '\u0007bell\u202e'))).toBe('red\nbell');
});
