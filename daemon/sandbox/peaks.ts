import type { Engine, Usage } from '../engine/engine.ts';
import { higher } from './usage-peaks.ts';

export type Peaks = Disposable & {
  /** Reads once more; never rejects. */
  read(): Promise<void>;
  /** The highest values seen, after whatever reading is under way. */
  last(): Promise<Usage>;
};

const soonestMs = 20;
const latestMs = 250;

/**
 * Remembers the highest usage of a running container. The kernel forgets a container before the
 * engine says that it ended, so it is read from the start on: often at first, then each time the
 * task has grown older by a tenth. What is missed is what happened since the last reading; a task
 * of some milliseconds has zeros. `onReading` hears of each one.
 */
export function watchPeaks(
  engine: Engine,
  id: string,
  onReading: (usage: Usage) => void = () => {},
): Peaks {
  let seen: Usage = { memoryPeakBytes: 0, cpuMs: 0, forksRefused: 0 };
  const startedAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const read = async () => {
    const usage = await engine.usage(id).catch(() => undefined);
    if (usage === undefined) return;
    seen = higher(seen, usage);
    onReading(usage);
  };
  const readAndPlan = async () => {
    await read();
    if (isOver) return;
    const age = performance.now() - startedAt;
    const delay = Math.min(latestMs, Math.max(soonestMs, age / 10));
    timer = setTimeout(() => {
      reading = readAndPlan();
    }, delay);
    timer.unref();
  };
  let reading = readAndPlan();
  return {
    read,
    last: async () => {
      await reading;
      return { ...seen };
    },
    [Symbol.dispose]: () => {
      isOver = true;
      clearTimeout(timer);
    },
  };
}
