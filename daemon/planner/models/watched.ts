import { ModelTrouble } from './trouble.ts';

export type Watch = {
  /** Ends with the caller's signal, when the time is up, and when nothing moved for too long. */
  signal: AbortSignal;
  /** Bytes came. What drips for ever is ended by the total time. */
  alive: () => void;
};

export type WatchTimes = { idleMs: number; totalMs: number };

/**
 * `work` with an end that it cannot put off. The SDKs' own timeout covers only the time until the
 * headers are there, and a stream that falls silent hangs for ever; a stream that is aborted ends
 * there like one that is complete. So the reason is asked for after the work as well.
 */
export async function watched<T>(
  caller: AbortSignal,
  { idleMs, totalMs }: WatchTimes,
  work: (watch: Watch) => Promise<T>,
): Promise<T> {
  caller.throwIfAborted();
  const controller = new AbortController();
  const { signal } = controller;
  const give = (message: string) => () => controller.abort(new ModelTrouble('timeout', message));
  const total = setTimeout(give('its time was up'), Math.max(0, Math.min(totalMs, 2 ** 31 - 1)));
  const idle = setTimeout(give(`nothing came for ${idleMs} ms`), idleMs);
  const onCaller = () => controller.abort(caller.reason);
  caller.addEventListener('abort', onCaller, { once: true });
  const ended = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  try {
    const done = work({ signal, alive: () => void idle.refresh() });
    // Raced: not every read of an SDK ends when its signal does.
    const result = await Promise.race([done, ended]);
    signal.throwIfAborted();
    return result;
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    clearTimeout(total);
    clearTimeout(idle);
    caller.removeEventListener('abort', onCaller);
    controller.abort();
  }
}
