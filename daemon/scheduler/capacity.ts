import { OrchestraError } from '#contract/errors.ts';
import { charge, Ledger, type Claim, type Totals } from './ledger.ts';
import { Reservations } from './reservations.ts';
import { Share, type ShareOptions, type ShareOwner } from './share.ts';
import type { Request } from './waiting.ts';

/** A run that has nothing and waits gains one level of priority with so many grants to others. */
const hungerPerLevel = 16;

type Turn = { share: Share; request: Request };

/**
 * What this machine has for tasks, shared by all runs. Who goes next:
 *
 * 1. who has a reservation: a task that `passesMax` others went past because it is big or wants
 *    many locks; room is kept for it as it comes free;
 * 2. the run of the highest priority, aged: one that has nothing and waits rises a level with
 *    every 16 grants to others, so none starves;
 * 3. the run that has the least of the machine now, by what it has most of; of equals the one
 *    whose last turn was longest ago;
 * 4. within a run the highest rank, of equals the oldest.
 *
 * Who does not fit is passed, not waited for. Grants come in a microtask of their own, so that all
 * who ask in one tick are compared.
 */
export class Capacity {
  readonly limit: number;
  readonly #ledger: Ledger;
  readonly #reservations = new Reservations();
  readonly #shares = new Set<Share>();
  readonly #waitingMax: number;
  #waiting = 0;
  #grants = 0;
  #isPassDue = false;

  constructor(totals: Totals, waitingMax = 1_000_000) {
    this.limit = totals.tasks;
    this.#ledger = new Ledger(totals);
    this.#waitingMax = waitingMax;
  }

  /** How many more tasks could run if they claimed nothing else. */
  get free(): number {
    return this.#ledger.tasksFree;
  }

  get waiting(): number {
    return this.#waiting;
  }

  join(options: ShareOptions = {}): Share {
    const owner: ShareOwner = {
      grants: () => this.#grants,
      admit: (claim) => this.#admit(claim),
      left: (requests) => {
        this.#waiting -= requests;
      },
      changed: () => this.#passSoon(),
    };
    const share = new Share(owner, options, () => this.#shares.delete(share));
    this.#shares.add(share);
    return share;
  }

  /** Grants whatever fits now. Nobody has to ask for it; a watchdog does, to see that it comes back. */
  pass(): void {
    this.#pass();
  }

  #admit(claim: Claim): Claim {
    if (this.#waiting >= this.#waitingMax) {
      throw new OrchestraError('daemon.busy', 'Too many tasks are waiting for the machine', {
        hint: 'try again when a run has finished',
      });
    }
    this.#waiting += 1;
    return this.#ledger.counted(claim);
  }

  #passSoon(): void {
    if (this.#isPassDue) return;
    this.#isPassDue = true;
    queueMicrotask(() => {
      this.#isPassDue = false;
      this.#pass();
    });
  }

  #pass(): void {
    while (this.#ledger.tasksFree > 0) {
      const turn = this.#reservations.next(this.#ledger) ?? this.#nextInLine();
      if (!turn) return;
      this.#grant(turn);
    }
  }

  #nextInLine(): Turn | undefined {
    const passed: Turn[] = [];
    for (const share of this.#inLine()) {
      const { fitting, blocked } = share.waiting.best((claim) =>
        this.#reservations.leaveRoomFor(claim, share, this.#ledger),
      );
      if (blocked) passed.push({ share, request: blocked });
      if (!fitting) continue;
      for (const turn of passed) this.#reservations.notePassed(turn);
      return { share, request: fitting };
    }
    return undefined;
  }

  #inLine(): Share[] {
    const asking = [...this.#shares].filter((share) => share.isAsking);
    if (asking.length < 2) return asking;
    return asking
      .map((share) => ({
        share,
        level: share.priority + Math.floor(share.hunger / hungerPerLevel),
        part: this.#ledger.dominant(share.held),
      }))
      .toSorted(
        (a, b) => b.level - a.level || a.part - b.part || a.share.lastGrant - b.share.lastGrant,
      )
      .map(({ share }) => share);
  }

  #grant({ share, request }: Turn): void {
    const { claim } = request;
    share.waiting.remove(request);
    this.#reservations.drop(request);
    this.#waiting -= 1;
    this.#grants += 1;
    this.#ledger.take(claim);
    charge(share.held, claim, 1);
    share.lastGrant = this.#grants;
    let isHeld = true;
    request.granted({
      [Symbol.dispose]: () => {
        if (!isHeld) return;
        isHeld = false;
        this.#ledger.giveBack(claim);
        charge(share.held, claim, -1);
        if (share.held.tasks === 0) share.becameHungry();
        this.#passSoon();
      },
    });
  }
}
