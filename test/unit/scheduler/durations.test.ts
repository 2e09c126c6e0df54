import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Durations, unknownMs } from '#daemon/scheduler/durations.ts';

const npm = (...args: string[]) => ({ tool: 'npm', args, cwd: '.' });
const times = (n: number, act: () => void) => {
  for (let i = 0; i < n; i += 1) act();
};
/** Within the bucket: a tenth up or down. */
const about = (ms: number) => ({ from: ms / 1.11, to: ms * 1.11 });

function expectAbout(actual: number, ms: number): void {
  expect(actual).toBeGreaterThan(about(ms).from);
  expect(actual).toBeLessThan(about(ms).to);
}

test('a task of which nothing is known is guessed', () => {
  const durations = new Durations();
  expect(durations.knows(npm('test'))).toBe(false);
  expect(durations.p50(npm('test'))).toBe(unknownMs);
  expect(durations.p90(npm('test'))).toBe(unknownMs);
});

test('what is no duration is ignored', () => {
  const durations = new Durations();
  for (const ms of [Number.NaN, -1, Infinity, -Infinity]) durations.note(npm('test'), ms);
  expect(durations.knows(npm('test'))).toBe(false);
});

test('names that mean something to JavaScript are names like any other', () => {
  const durations = new Durations();
  const odd = { tool: '__proto__', args: ['constructor', '\0', '\ud800'], cwd: '../\n' };
  times(10, () => durations.note(odd, 3000));
  expectAbout(durations.p50(odd), 3000);
  expect(durations.knows(npm('test'))).toBe(false);
});

test('arguments that only look alike when joined are not the same task', () => {
  const durations = new Durations();
  times(10, () => durations.note(npm('run', 'a b'), 60_000));
  times(10, () => durations.note(npm('run', 'a', 'b'), 1_000));
  expectAbout(durations.p50(npm('run', 'a b')), 60_000);
  expectAbout(durations.p50(npm('run', 'a', 'b')), 1_000);
});

test('one earlier run already tells the long tasks from the short', () => {
  const durations = new Durations();
  durations.note(npm('run', 'build'), 60_000);
  durations.note(npm('run', 'lint'), 2_000);
  durations.note(npm('run', 'test'), 30_000);
  const order = ['build', 'lint', 'test'].toSorted(
    (a, b) => durations.p50(npm('run', b)) - durations.p50(npm('run', a)),
  );
  expect(order).toEqual(['build', 'test', 'lint']);
  expectAbout(durations.p50(npm('run', 'build')), 60_000);
});

test('a task never seen is expected to take what its like took', () => {
  const durations = new Durations();
  times(5, () => durations.note(npm('run', 'build'), 4_000));
  times(5, () => durations.note(npm('ci'), 100_000));
  expectAbout(durations.p50(npm('run', 'new')), 4_000);
  expect(durations.p50(npm('publish'))).toBeGreaterThan(50_000);
});

test('a task that became faster is soon known as the faster one', () => {
  const durations = new Durations();
  times(100, () => durations.note(npm('test'), 60_000));
  times(8, () => durations.note(npm('test'), 1_000));
  expectAbout(durations.p50(npm('test')), 1_000);
});

test('one slow run in ten does not move the middle but shows at the top', () => {
  const durations = new Durations();
  times(10, () => {
    durations.note(npm('test'), 60_000);
    times(6, () => durations.note(npm('test'), 1_000));
  });
  expectAbout(durations.p50(npm('test')), 1_000);
  times(1, () => durations.note(npm('test'), 60_000));
  expectAbout(durations.p90(npm('test')), 60_000);
});

test('only what was used last is kept, whoever asks for how much', () => {
  const durations = new Durations(2);
  times(10, () => durations.note({ tool: 'a', args: [], cwd: '.' }, 1_000));
  durations.note({ tool: 'b', args: [], cwd: '.' }, 1_000);
  expectAbout(durations.p50({ tool: 'a', args: [], cwd: '.' }), 1_000);
  durations.note({ tool: 'c', args: [], cwd: '.' }, 1_000);
  expect(durations.knows({ tool: 'a', args: [], cwd: '.' })).toBe(true);
  expect(durations.knows({ tool: 'b', args: [], cwd: '.' })).toBe(false);
});

test('no figure is below the shortest sample or above the longest, half is never above nine of ten', () => {
  const ms = fc.integer({ min: 50, max: 7_200_000 });
  fc.assert(
    fc.property(fc.array(ms, { minLength: 5, maxLength: 60 }), (samples) => {
      const durations = new Durations();
      for (const sample of samples) durations.note(npm('test'), sample);
      const [p50, p90] = [durations.p50(npm('test')), durations.p90(npm('test'))];
      expect(p50).toBeGreaterThanOrEqual(about(Math.min(...samples)).from);
      expect(p90).toBeLessThanOrEqual(about(Math.max(...samples)).to);
      expect(p50).toBeLessThanOrEqual(p90);
    }),
  );
});

test('beyond two hours and below a twentieth of a second all durations are alike', () => {
  const durations = new Durations();
  times(5, () => durations.note(npm('long'), 86_400_000));
  times(5, () => durations.note(npm('short'), 0));
  expectAbout(durations.p50(npm('long')), 7_200_000);
  expectAbout(durations.p50(npm('short')), 50);
});
