import type { OutputSink } from './output.ts';

export type Idle = Disposable & {
  /** The same sink; each piece that comes shows that the task is alive. */
  around(sink: OutputSink): OutputSink;
  /** How long nothing has come. */
  silentMs(): number;
};

/**
 * Calls `onIdle` once nothing was written for `idleMs`. Output is what counts: a task that computes
 * without a word is as idle as one that hangs, for nobody can tell them apart. What waits for a slow
 * disk of ours is not the task's silence.
 */
export function watchIdle(idleMs: number, onIdle: () => void): Idle {
  let lastAt = performance.now();
  let writing = 0;
  let timer: NodeJS.Timeout | undefined;
  const look = () => {
    if (writing > 0) lastAt = performance.now();
    const left = idleMs - (performance.now() - lastAt);
    if (left <= 0) onIdle();
    // A timer cannot wait longer than this; no limit is that long.
    else timer = setTimeout(look, Math.min(Math.ceil(left), 2 ** 31 - 1));
  };
  look();
  return {
    around: (sink) => ({
      write(stream, bytes) {
        lastAt = performance.now();
        const written = sink.write(stream, bytes);
        if (written === undefined) return undefined;
        writing += 1;
        return written.finally(() => {
          writing -= 1;
          lastAt = performance.now();
        });
      },
    }),
    silentMs: () => Math.round(performance.now() - lastAt),
    [Symbol.dispose]: () => clearTimeout(timer),
  };
}
