import { expect, test } from 'vitest';
import { Ended, exitCodeOf } from '#daemon/engine/drivers/podman/ended.ts';

const ended = (exitCode: number, seconds: number, timeout: number): Ended =>
  Ended.parse({
    Created: '2026-01-02T03:04:05.5Z',
    Config: { Timeout: timeout },
    State: {
      Status: 'exited',
      ExitCode: exitCode,
      OOMKilled: false,
      StartedAt: '2026-01-02T03:04:06Z',
      FinishedAt: new Date(Date.UTC(2026, 0, 2, 3, 4, 5, 500) + seconds * 1000).toISOString(),
    },
  });

test.each([
  ['before its time was over', 33.9],
  ['before it was made, by a clock that was set', -5],
  ['at a time that nobody can read', Number.NaN],
])(
  'a container of which no exit code is known, and which ended %s, is not called killed',
  (_, s) => {
    const { State, ...rest } = ended(-1, Number.isNaN(s) ? 0 : s, 34);
    const at = Number.isNaN(s) ? { ...State, FinishedAt: 'never' } : State;
    expect(() => exitCodeOf({ ...rest, State: at })).toThrow('does not know');
  },
);

test('without a time to end at, an exit code that is not known stays so', () => {
  expect(() => exitCodeOf(ended(-1, 3600, 0))).toThrow('does not know');
});

test('one that the monitor ended at its time was killed', () => {
  expect(exitCodeOf(ended(-1, 34, 34))).toBe(137);
});

test.each([0, 1, 137, 255])('exit code %i is told as it is, however long it took', (code) => {
  expect(exitCodeOf(ended(code, 60, 34))).toBe(code);
});
