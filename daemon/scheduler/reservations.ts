import type { Claim, Ledger } from './ledger.ts';
import type { Share } from './share.ts';
import type { Request } from './waiting.ts';

/** So many may go past a task that was first in line before room is kept for it. */
const passesMax = 32;
const reservationsMax = 16;

type Reserved = { share: Share; request: Request };

/**
 * Tasks that others went past for too long, the one that was passed first in front. While one
 * stands here nobody else gets a lock that it names; once all of its locks are free, nobody else
 * gets what it needs of the rest either. Before that the rest is not kept: a lock may be held for
 * an hour, and the machine would stand still.
 */
export class Reservations {
  #all: Reserved[] = [];

  notePassed({ share, request }: Reserved): void {
    request.passedBy += 1;
    if (request.passedBy < passesMax || this.#all.length >= reservationsMax) return;
    if (!this.#all.some((other) => other.request === request)) this.#all.push({ share, request });
  }

  drop(request: Request): void {
    if (request.passedBy >= passesMax) {
      this.#all = this.#all.filter((other) => other.request !== request);
    }
  }

  /** The first whose room is there. Forgets those that do not wait any more. */
  next(ledger: Ledger): Reserved | undefined {
    if (this.#all.length === 0) return undefined;
    this.#all = this.#all.filter(({ request }) => request.isWaiting);
    return this.#all.find(
      ({ share, request }, i) =>
        share.isAsking && this.#hasRoom(request.claim, share, ledger, this.#all.slice(0, i)),
    );
  }

  /** Whether `claim` fits and takes nothing that is kept. */
  leaveRoomFor(claim: Claim, share: Share, ledger: Ledger): boolean {
    return this.#hasRoom(claim, share, ledger, this.#all);
  }

  #hasRoom(claim: Claim, share: Share, ledger: Ledger, before: readonly Reserved[]): boolean {
    // Those whose run is suspended or may have no more at once keep nobody from anything.
    const standing = before.filter((reserved) => reserved.share.isAsking);
    for (const { request } of standing) {
      if (claim.locks.some((lock) => request.claim.locks.includes(lock))) return false;
    }
    const kept = standing.find(({ request }) => ledger.areFree(request.claim.locks));
    if (kept?.share === share && share.held.tasks + 1 >= share.atOnce) return false;
    return ledger.fits(claim, kept?.request.claim);
  }
}
