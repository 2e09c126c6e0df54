import { Heap } from './heap.ts';
import type { Claim } from './ledger.ts';

/** One task that waits for its place on the machine. */
export type Request = {
  readonly claim: Claim;
  /** Within a run the higher one goes first, of equals the older one. */
  readonly rank: number;
  readonly order: number;
  readonly granted: (lease: Disposable) => void;
  /** It will never be granted any more. */
  readonly dropped?: ((reason: unknown) => void) | undefined;
  /** How many went past it although it was their better. */
  passedBy: number;
  isWaiting: boolean;
};

/**
 * What one run waits for. Kept by what it claims, so that looking for somebody who fits costs a
 * look at each kind of claim, not at each task: plans have many tasks of few kinds.
 */
export class Waiting {
  readonly #kinds = new Map<string, Heap<Request>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(request: Request): void {
    const key = kindOf(request.claim);
    let kind = this.#kinds.get(key);
    if (kind === undefined) this.#kinds.set(key, (kind = new Heap(goesFirst)));
    kind.push(request);
    request.isWaiting = true;
    this.#size += 1;
  }

  remove(request: Request): boolean {
    const key = kindOf(request.claim);
    const kind = this.#kinds.get(key);
    if (!kind) return false;
    if (kind.peek() === request) kind.pop();
    else if (!kind.remove(request)) return false;
    if (kind.size === 0) this.#kinds.delete(key);
    request.isWaiting = false;
    this.#size -= 1;
    return true;
  }

  /** The best that fits, and the best of those that are better and do not. */
  best(fits: (claim: Claim) => boolean): {
    fitting: Request | undefined;
    blocked: Request | undefined;
  } {
    let fitting: Request | undefined;
    let blocked: Request | undefined;
    for (const kind of this.#kinds.values()) {
      const head = kind.peek();
      if (head === undefined || (fitting && goesFirst(fitting, head))) continue;
      if (fits(head.claim)) fitting = head;
      else if (!blocked || goesFirst(head, blocked)) blocked = head;
    }
    if (fitting && blocked && goesFirst(fitting, blocked)) blocked = undefined;
    return { fitting, blocked };
  }

  drain(): Request[] {
    const all = [...this.#kinds.values()].flatMap((kind) => kind.drain());
    for (const request of all) request.isWaiting = false;
    this.#kinds.clear();
    this.#size = 0;
    return all;
  }
}

function goesFirst(a: Request, b: Request): boolean {
  return a.rank > b.rank || (a.rank === b.rank && a.order < b.order);
}

function kindOf({ cpuMilli, memoryBytes, locks }: Claim): string {
  return `${cpuMilli} ${memoryBytes} ${locks.length === 0 ? '' : JSON.stringify(locks)}`;
}
