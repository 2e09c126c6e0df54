/** What one task takes of the machine while it runs. Of those that name a lock, one runs at a time. */
export type Claim = { cpuMilli: number; memoryBytes: number; locks: readonly string[] };

/** What the machine has for all runs together; what is left out is not counted. */
export type Totals = { tasks: number; cpuMilli?: number; memoryBytes?: number };

export type Use = { tasks: number; cpuMilli: number; memoryBytes: number };

/** What of the machine is taken and what is left. Knows nothing of runs, order or waiting. */
export class Ledger {
  readonly #totals: Required<Totals>;
  readonly #free: Use;
  readonly #locked = new Set<string>();

  constructor({ tasks, cpuMilli = Infinity, memoryBytes = Infinity }: Totals) {
    this.#totals = { tasks, cpuMilli, memoryBytes };
    this.#free = { tasks, cpuMilli, memoryBytes };
  }

  get tasksFree(): number {
    return this.#free.tasks;
  }

  /**
   * The claim as it is counted. Who asks for more than there is gets all of it, so it waits until
   * nobody else has any, but not for ever. What is not counted is claimed by nobody.
   */
  counted({ cpuMilli, memoryBytes, locks }: Claim): Claim {
    return {
      cpuMilli: within(cpuMilli, this.#totals.cpuMilli),
      memoryBytes: within(memoryBytes, this.#totals.memoryBytes),
      locks: [...new Set(locks)].toSorted(),
    };
  }

  /**
   * Whether there is room for `claim`; with `beside`, whether it takes nothing that this one needs.
   * A place is not kept for it: what it waits for comes free with somebody's place.
   */
  fits(claim: Claim, beside?: Claim): boolean {
    return (
      this.#free.tasks >= 1 &&
      isEnough(this.#free.cpuMilli, claim.cpuMilli, beside?.cpuMilli) &&
      isEnough(this.#free.memoryBytes, claim.memoryBytes, beside?.memoryBytes) &&
      this.areFree(claim.locks)
    );
  }

  areFree(locks: readonly string[]): boolean {
    return !locks.some((lock) => this.#locked.has(lock));
  }

  take(claim: Claim): void {
    charge(this.#free, claim, -1);
    for (const lock of claim.locks) this.#locked.add(lock);
  }

  giveBack(claim: Claim): void {
    charge(this.#free, claim, 1);
    for (const lock of claim.locks) this.#locked.delete(lock);
  }

  /** The largest part of anything that `use` has, between 0 and 1. */
  dominant(use: Use): number {
    return Math.max(
      use.tasks / this.#totals.tasks,
      use.cpuMilli / this.#totals.cpuMilli,
      use.memoryBytes / this.#totals.memoryBytes,
    );
  }
}

export function charge(use: Use, claim: Claim, tasks: 1 | -1): void {
  use.tasks += tasks;
  use.cpuMilli += tasks * claim.cpuMilli;
  use.memoryBytes += tasks * claim.memoryBytes;
}

function isEnough(free: number, claimed: number, kept = 0): boolean {
  return claimed === 0 || free >= claimed + kept;
}

// Whole numbers only: what is given back is exactly what was taken. Nonsense claims everything.
function within(claimed: number, total: number): number {
  if (total === Infinity) return 0;
  return Number.isFinite(claimed) ? Math.min(Math.max(0, Math.ceil(claimed)), total) : total;
}
