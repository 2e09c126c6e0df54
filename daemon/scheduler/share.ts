import type { Claim, Use } from './ledger.ts';
import { Waiting, type Request } from './waiting.ts';

export type ShareOptions = {
  /** Runs of a higher priority go before this one; 0 if left out. */
  priority?: number | undefined;
  /** How many tasks of this run may run at once, beside what the machine allows. */
  atOnce?: number | undefined;
};

/** What a share needs of the machine that it is a share of. */
export type ShareOwner = {
  /** The claim as it is counted, for one more that waits. Throws where too many do. */
  admit(claim: Claim): Claim;
  /** So many fewer wait. */
  left(requests: number): void;
  /** Something changed that may let somebody go. */
  changed(): void;
  /** How many grants there were so far, to any run. */
  grants(): number;
};

/**
 * What one run asks of the machine. Disposing it drops whoever still waits; what was granted stays
 * granted until its own lease is disposed.
 */
export class Share implements Disposable {
  readonly priority: number;
  readonly atOnce: number;
  readonly waiting = new Waiting();
  readonly held: Use = { tasks: 0, cpuMilli: 0, memoryBytes: 0 };
  /** The number of its last grant, of all grants of the machine. */
  lastGrant = 0;
  readonly #owner: ShareOwner;
  readonly #leave: (share: Share) => void;
  #hungrySince: number;
  #order = 0;
  #suspended = 0;
  #isOver = false;

  constructor(owner: ShareOwner, options: ShareOptions, leave: (share: Share) => void) {
    this.priority = options.priority ?? 0;
    this.atOnce = options.atOnce ?? Infinity;
    this.#owner = owner;
    this.#leave = leave;
    this.#hungrySince = owner.grants();
  }

  /** Whether it wants something that only the machine can keep from it. */
  get isAsking(): boolean {
    return this.waiting.size > 0 && this.#suspended === 0 && this.held.tasks < this.atOnce;
  }

  /** How many grants others got since this run had nothing at all, although it asked. */
  get hunger(): number {
    return this.held.tasks === 0 ? this.#owner.grants() - this.#hungrySince : 0;
  }

  /**
   * Waits in line without a promise: `granted` is called once, later, with the lease to dispose
   * when the task is over; `dropped` instead where that will never be.
   */
  ask(wish: {
    claim: Claim;
    rank?: number;
    granted: (lease: Disposable) => void;
    dropped?: (reason: unknown) => void;
  }): Request {
    const request: Request = {
      claim: this.#owner.admit(wish.claim),
      rank: wish.rank ?? 0,
      order: this.#order++,
      granted: wish.granted,
      dropped: wish.dropped,
      passedBy: 0,
      isWaiting: false,
    };
    if (this.waiting.size === 0) this.becameHungry();
    this.waiting.add(request);
    this.#owner.changed();
    return request;
  }

  /** Rejects with the reason of the signal or of the share, whichever ends first. */
  take(claim: Claim, signal: AbortSignal, rank = 0): Promise<Disposable> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const giveUp = () => {
        this.#withdraw(request);
        reject(signal.reason as Error);
      };
      const settled = () => signal.removeEventListener('abort', giveUp);
      const request = this.ask({
        claim,
        rank,
        granted: (lease) => {
          settled();
          resolve(lease);
        },
        dropped: (reason) => {
          settled();
          reject(reason);
        },
      });
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Grants nothing more until what it gives back is disposed, as often as it was called. */
  suspend(): Disposable {
    this.#suspended += 1;
    this.#owner.changed();
    let isOver = false;
    return {
      [Symbol.dispose]: () => {
        if (isOver) return;
        isOver = true;
        this.#suspended -= 1;
        this.becameHungry();
        this.#owner.changed();
      },
    };
  }

  /** Drops whoever waits. */
  clear(reason: unknown): void {
    const all = this.waiting.drain();
    this.#owner.left(all.length);
    for (const request of all) request.dropped?.(reason);
    this.#owner.changed();
  }

  becameHungry(): void {
    this.#hungrySince = this.#owner.grants();
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#leave(this);
    this.clear(new DOMException('the run is over', 'AbortError'));
  }

  #withdraw(request: Request): void {
    if (!this.waiting.remove(request)) return;
    this.#owner.left(1);
    this.#owner.changed();
  }
}
