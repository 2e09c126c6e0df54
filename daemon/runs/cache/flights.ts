import type { Digest } from '#contract/ids.ts';

/** Leave to do an action, for one at a time. Releasing it twice is harmless. */
export type Flight = Disposable & { release(): void };

const waitingMax = 1000;

/**
 * Equal actions, of whichever runs, are done one after the other: whoever waited looks into the
 * cache again, and does the action itself only where the one before it failed. Where too many wait
 * for one action, whoever comes then does it without waiting: twice is allowed, never is not.
 */
export class Flights {
  readonly #open = new Map<Digest, (() => void)[]>();

  /** Rejects with the reason of the signal where that comes first. */
  async enter(action: Digest, signal: AbortSignal): Promise<Flight> {
    signal.throwIfAborted();
    const waiting = this.#open.get(action);
    if (waiting === undefined) {
      this.#open.set(action, []);
      return this.#flight(action);
    }
    if (waiting.length >= waitingMax) return flightOf(() => {});
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => {
      const at = waiting.indexOf(resolve);
      if (at >= 0) waiting.splice(at, 1);
      reject(signal.reason as Error);
    };
    waiting.push(resolve);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    return this.#flight(action);
  }

  /** How many actions are under way. */
  get size(): number {
    return this.#open.size;
  }

  /** How many wait for another one to end. */
  get waiting(): number {
    return [...this.#open.values()].reduce((sum, line) => sum + line.length, 0);
  }

  #flight(action: Digest): Flight {
    return flightOf(() => {
      const next = this.#open.get(action)?.shift();
      if (next === undefined) this.#open.delete(action);
      else next();
    });
  }
}

function flightOf(end: () => void): Flight {
  let isOver = false;
  const release = (): void => {
    if (!isOver) end();
    isOver = true;
  };
  return { release, [Symbol.dispose]: release };
}
