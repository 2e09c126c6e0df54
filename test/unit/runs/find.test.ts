import { expect, test } from 'vitest';
import { findRun } from '#daemon/runs/find.ts';
import { RunStates } from '#daemon/runs/state.ts';
import { runClosed, submitted } from '#test/support/records.ts';

const ids = ['r-aaaa000001', 'r-aaaa000002', 'r-bbbb000001'];
const states = new RunStates();
for (const id of ids) states.fold(submitted(id));
states.fold(runClosed('failed', 'r-aaaa000001'));
states.fold(runClosed('succeeded', 'r-bbbb000001'));

test.each([
  ['r-aaaa000001', 'r-aaaa000001'],
  ['r-b', 'r-bbbb000001'],
  ['bbbb', 'r-bbbb000001'],
  ['aaaa000002', 'r-aaaa000002'],
  ['@last', 'r-bbbb000001'],
  ['@last-failed', 'r-aaaa000001'],
])('%s is %s', (reference, id) => {
  expect(findRun(states, reference).id).toBe(id);
});

test.each(['', 'r-', 'zzzz', '@first', '__proto__', 'R-BBBB', '../r-bbbb000001', 'r-b\0'])(
  '%j is no run',
  (reference) => {
    expect(() => findRun(states, reference)).toThrow(
      expect.objectContaining({ code: 'run.unknown', hint: 'orchestra runs' }),
    );
  },
);

test('a beginning that two runs share is refused and says what to write', () => {
  expect(() => findRun(states, 'aaaa')).toThrow(
    expect.objectContaining({
      code: 'run.unknown',
      hint: 'write more of it, such as r-aaaa000001',
    }),
  );
});

test('without any run there is no last one either', () => {
  for (const reference of ['@last', '@last-failed']) {
    expect(() => findRun(new RunStates(), reference)).toThrow(
      expect.objectContaining({ code: 'run.unknown' }),
    );
  }
});

test('an endless reference does not come back in the message', () => {
  expect(() => findRun(states, 'x'.repeat(10_000))).toThrow(/^.{0,100}$/);
});
