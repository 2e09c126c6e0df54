import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TaskClock } from '#daemon/sandbox/task-clock.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

test('what was to ring while it stands rings once the rest has passed', () => {
  const ring = vi.fn<() => void>();
  using time = new TaskClock();
  time.after(1000, ring);
  vi.advanceTimersByTime(600);
  time.stop();
  vi.advanceTimersByTime(100_000);
  expect(time.ms).toBe(600);
  expect(ring).not.toHaveBeenCalled();
  time.go();
  vi.advanceTimersByTime(399);
  expect(ring).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(ring).toHaveBeenCalledTimes(1);
});

test('nothing rings that was given up, or whose clock is gone', () => {
  const ring = vi.fn<() => void>();
  const time = new TaskClock();
  time.after(10, ring)[Symbol.dispose]();
  time.after(20, ring);
  time[Symbol.dispose]();
  vi.advanceTimersByTime(1000);
  expect(ring).not.toHaveBeenCalled();
});

test('what is over its time already rings at once, but not while it stands', () => {
  const ring = vi.fn<() => void>();
  using time = new TaskClock({ passedMs: 5000, isStopped: true });
  time.after(1000 - time.ms, ring);
  vi.advanceTimersByTime(1000);
  expect(ring).not.toHaveBeenCalled();
  time.go();
  vi.advanceTimersByTime(0);
  expect(ring).toHaveBeenCalledTimes(1);
});

test('a moment further off than a timer can wait is waited for', () => {
  const ring = vi.fn<() => void>();
  using time = new TaskClock();
  time.after(2 ** 31 + 1000, ring);
  vi.advanceTimersByTime(2 ** 31 - 1);
  expect(ring).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1001);
  expect(ring).toHaveBeenCalledTimes(1);
});

test('however it stops and goes, it counts what passed while it went, and rings by that', () => {
  const step = fc.record({ do: fc.constantFrom('stop', 'go'), ms: fc.nat(500) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), fc.nat(2000), (steps, at) => {
      using time = new TaskClock();
      let passed = 0;
      let goes = true;
      let rungAt: number | undefined;
      time.after(at, () => (rungAt = time.ms));
      for (const one of steps) {
        time[one.do]();
        goes = one.do === 'go';
        vi.advanceTimersByTime(one.ms);
        if (goes) passed += one.ms;
        expect(time.ms).toBe(passed);
        if (rungAt === undefined) expect(passed <= at).toBe(true);
        else expect(rungAt).toBe(at);
      }
    }),
  );
});
