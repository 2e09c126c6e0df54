import type { Engine, Usage } from '../engine/engine.ts';

export type Peaks = Disposable & {
  /** Reads once more; never rejects. */
  read(): Promise<void>;
  /** The highest values seen, after whatever reading is under way. */
  last(): Promise<Usage>;
};

const everyMs = 1_000;

/**
 * Remembers the highest usage of a running container. The kernel forgets a container some
 * milliseconds after its end, so it is read from the start on and once more when the output ends.
 * A task too short for that has zeros: usage is told, never judged alone.
 */
export function watchPeaks(engine: Engine, id: string): Peaks {
  const seen: Usage = { memoryPeakBytes: 0, cpuMs: 0, forksRefused: 0 };
  const read = async () => {
    const usage = await engine.usage(id).catch(() => undefined);
    if (usage === undefined) return;
    seen.memoryPeakBytes = Math.max(seen.memoryPeakBytes, usage.memoryPeakBytes);
    seen.cpuMs = Math.max(seen.cpuMs, usage.cpuMs);
    seen.forksRefused = Math.max(seen.forksRefused, usage.forksRefused);
  };
  let reading = read();
  const again = async () => {
    const before = reading;
    reading = (async () => {
      await before;
      await read();
    })();
    await reading;
  };
  const timer = setInterval(() => void again(), everyMs);
  timer.unref();
  return {
    read: async () => {
      // Not after the reading under way: by then the kernel may have forgotten.
      await Promise.all([reading, read()]);
    },
    last: async () => {
      await reading;
      return { ...seen };
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
