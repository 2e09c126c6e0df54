import { ModelTrouble } from './trouble.ts';

/** Leave for so many conversations at once; the others wait in the order in which they came. */
export class Places {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(count: number) {
    this.#free = count;
  }

  /** Resolves with a place, to be given back; throws `busy` when the time is up, or the signal's reason. */
  async take(ms: number, signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(ms, signal);
    let isGiven = false;
    return {
      [Symbol.dispose]: () => {
        if (isGiven) return;
        isGiven = true;
        const next = this.#waiting.shift();
        if (next === undefined) this.#free += 1;
        else next();
      },
    };
  }

  async #turn(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = (why: unknown) => {
      const at = this.#waiting.indexOf(resolve);
      // Not there any more: the place came first, and is this one's now.
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      reject(why);
    };
    const onAbort = () => leave(signal.reason);
    const late = () => leave(new ModelTrouble('busy', 'too many plans are being made'));
    const timer = setTimeout(late, Math.min(ms, 2 ** 31 - 1));
    signal.addEventListener('abort', onAbort, { once: true });
    this.#waiting.push(resolve);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
  }
}
