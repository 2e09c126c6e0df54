import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { watchIdle } from '#daemon/sandbox/idle.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

const piece = Buffer.from('x');
const nowhere = { write: () => {} };

test('silence for the whole time is noticed, once', () => {
  const onIdle = vi.fn<() => void>();
  using _idle = watchIdle(1000, onIdle);
  vi.advanceTimersByTime(999);
  expect(onIdle).not.toHaveBeenCalled();
  vi.advanceTimersByTime(10_000);
  expect(onIdle).toHaveBeenCalledTimes(1);
});

test('each piece of output begins the time anew', () => {
  const onIdle = vi.fn<() => void>();
  using idle = watchIdle(1000, onIdle);
  const sink = idle.around(nowhere);
  for (let i = 0; i < 5; i += 1) {
    vi.advanceTimersByTime(900);
    void sink.write(1, piece);
  }
  vi.advanceTimersByTime(999);
  expect(onIdle).not.toHaveBeenCalled();
  vi.advanceTimersByTime(2);
  expect(onIdle).toHaveBeenCalledTimes(1);
});

test('waiting for a slow disk of ours is not silence', async () => {
  const onIdle = vi.fn<() => void>();
  using idle = watchIdle(1000, onIdle);
  const written = Promise.withResolvers<void>();
  const writing = idle.around({ write: () => written.promise }).write(1, piece);
  vi.advanceTimersByTime(5000);
  expect(onIdle).not.toHaveBeenCalled();
  written.resolve();
  await writing;
  vi.advanceTimersByTime(1001);
  expect(onIdle).toHaveBeenCalledTimes(1);
});

test('nothing is called once it is over', () => {
  const onIdle = vi.fn<() => void>();
  watchIdle(1000, onIdle)[Symbol.dispose]();
  vi.advanceTimersByTime(5000);
  expect(onIdle).not.toHaveBeenCalled();
});
