import { OrchestraError } from '#contract/errors.ts';

type Waiter = { grant: () => void };

/**
 * How many tasks may run at once on this machine, whichever runs they belong to. First come, first
 * served; whoever gives up waiting (its signal aborts) rejects with the signal's reason.
 */
export class Slots {
  readonly limit: number;
  readonly #waitersMax: number;
  readonly #waiting = new Set<Waiter>();
  #free: number;

  constructor(limit: number, waitersMax = 100_000) {
    this.limit = limit;
    this.#free = limit;
    this.#waitersMax = waitersMax;
  }

  get free(): number {
    return this.#free;
  }

  async take(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#wait(signal);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        this.#release();
      },
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size >= this.#waitersMax) {
      throw new OrchestraError('daemon.busy', 'Too many tasks are waiting for a slot', {
        hint: 'try again when a run has finished',
      });
    }
    return new Promise<void>((resolve, reject) => {
      const giveUp = () => {
        this.#waiting.delete(waiter);
        reject(signal.reason as Error);
      };
      const waiter: Waiter = {
        grant: () => {
          signal.removeEventListener('abort', giveUp);
          resolve();
        },
      };
      this.#waiting.add(waiter);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  #release(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next.grant();
  }
}
