import type { OutputSink } from './output.ts';
import { TaskClock } from './task-clock.ts';

export type Idle = Disposable & {
  /** The same sink; each piece that comes shows that the task is alive. */
  around(sink: OutputSink): OutputSink;
  /** How long nothing has come. */
  silentMs(): number;
};

/**
 * Calls `onIdle` once nothing was written for `idleMs`. Output is what counts: a task that computes
 * without a word is as idle as one that hangs, for nobody can tell them apart. What waits for a slow
 * disk of ours is not the task's silence, and neither is the time in which it is frozen.
 */
export function watchIdle(idleMs: number, onIdle: () => void, time = new TaskClock()): Idle {
  let lastAt = time.ms;
  let writing = 0;
  let next: Disposable | undefined;
  const look = () => {
    if (writing > 0) lastAt = time.ms;
    const left = idleMs - (time.ms - lastAt);
    if (left <= 0) onIdle();
    else next = time.after(left, look);
  };
  look();
  return {
    around: (sink) => ({
      write(stream, bytes) {
        lastAt = time.ms;
        const written = sink.write(stream, bytes);
        if (written === undefined) return undefined;
        writing += 1;
        return written.finally(() => {
          writing -= 1;
          lastAt = time.ms;
        });
      },
    }),
    silentMs: () => Math.round(time.ms - lastAt),
    [Symbol.dispose]: () => next?.[Symbol.dispose](),
  };
}
