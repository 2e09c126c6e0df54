import { setImmediate } from 'node:timers/promises';
import type { Claim } from './ledger.ts';
import type { Share } from './share.ts';

export type PlaceOptions = {
  share: Share;
  claim: Claim;
  rank: number;
  signal: AbortSignal;
  admit?: ((signal: AbortSignal) => Promise<void> | undefined) | undefined;
};

/**
 * The place of one node on the machine: taken when it may begin, left while it only waits for
 * something else, so that others can go on meanwhile.
 */
export class Place implements Disposable {
  readonly #options: PlaceOptions;
  #lease: Disposable;

  private constructor(options: PlaceOptions, lease: Disposable) {
    this.#options = options;
    this.#lease = lease;
  }

  /** Resolves when the node may begin; `granted` is given back where it may not. */
  static async enter(options: PlaceOptions, granted: Disposable): Promise<Place> {
    return new Place(options, await admitted(options, granted));
  }

  /** Without a place while `wait` runs; with one again when this resolves. Once at a time. */
  async outside<R>(wait: () => Promise<R>): Promise<R> {
    this.#lease[Symbol.dispose]();
    const result = await wait();
    this.#lease = await admitted(this.#options, await take(this.#options));
    return result;
  }

  [Symbol.dispose](): void {
    this.#lease[Symbol.dispose]();
  }
}

// A run that is paused keeps nothing of the machine: the lease goes back and is asked for again
// afterwards. Only once, though: an admission that is always slow must not keep a node out for ever.
async function admitted(options: PlaceOptions, granted: Disposable): Promise<Disposable> {
  const { share, admit, signal } = options;
  let lease = granted;
  try {
    const leave = admit?.(signal);
    if (leave !== undefined && !(await comesAtOnce(leave))) {
      lease[Symbol.dispose]();
      {
        using _still = share.suspend();
        await leave;
      }
      lease = await take(options);
      await admit?.(signal);
    }
    signal.throwIfAborted();
    return lease;
  } catch (error) {
    lease[Symbol.dispose]();
    throw error;
  }
}

function take({ share, claim, signal, rank }: PlaceOptions): Promise<Disposable> {
  return share.take(claim, signal, rank);
}

function comesAtOnce(leave: Promise<void>): Promise<boolean> {
  return Promise.race([leave.then(() => true), setImmediate(false)]);
}
