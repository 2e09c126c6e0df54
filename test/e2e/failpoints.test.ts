import { describe, expect, test } from 'vitest';
import type { Failpoint } from '#daemon/base/failpoints.ts';
import { KnownRun } from '#test/support/known-run.ts';

/**
 * At which pass a daemon dies, so that it is in the middle of a run, and what that costs at most.
 * `again`: nobody had a plan yet, and whoever submitted the run has to do it again.
 */
type Death = { at: number; lost?: number; again?: true };

const alone: Record<Exclude<Failpoint, OnTheWayBack | Elsewhere>, Death> = {
  // The policies, the profile and the plan come first.
  'before-blob-rename': { at: 12, lost: 2 },
  'after-blob-rename': { at: 12, lost: 2 },
  'after-run-submitted': { at: 1, again: true },
  'after-run-accepted': { at: 1 },
  // The first task is alone; so what is lost here is its attempt and no other.
  'before-task-started': { at: 1 },
  'after-task-started': { at: 1, lost: 1 },
  'after-container-create': { at: 1, lost: 1 },
  'after-container-start': { at: 1, lost: 1 },
  'before-container-release': { at: 1, lost: 1 },
  'after-container-let-go': { at: 1, lost: 1 },
  'after-container-release': { at: 1 },
  'before-container-exited': { at: 1 },
  'after-container-exited': { at: 1 },
  'after-artifacts-collected': { at: 1 },
  'before-layer-manifest': { at: 1 },
  'before-layer-link': { at: 1 },
  'after-layer-link': { at: 1 },
  'before-task-finished': { at: 1 },
  'after-task-finished': { at: 1 },
  // The first signature is for the start; the second one comes with the end of the run.
  'before-checkpoint-synced': { at: 2, lost: 2 },
  'after-checkpoint-signed': { at: 2, lost: 2 },
  'before-checkpoint': { at: 1, lost: 2 },
  'after-checkpoint': { at: 1, lost: 2 },
  'before-run-closed': { at: 1 },
  'after-run-closed': { at: 1 },
};

/**
 * No run comes by these: packages have their own test, keys and tiles test/e2e/signer.test.ts,
 * requests test/e2e/approvals.test.ts, revisions of plans test/unit/runs/replan/recovery.test.ts.
 */
type Elsewhere =
  | 'before-request-opened'
  | 'after-request-opened'
  | 'before-request-answered'
  | 'after-request-answered'
  | 'before-plan-revised'
  | 'after-plan-revised'
  | 'after-package-fetched'
  | 'after-key-rotated'
  | 'before-tile-rename'
  | 'after-tile-rename';

type OnTheWayBack =
  | 'before-attempt-adopted'
  | 'after-attempt-adopted'
  | 'after-attempt-lost'
  | 'before-run-recovered'
  | 'after-run-recovered';

/** The daemon after the one that died at `first` dies as well. */
const onTheWayBack: Record<OnTheWayBack, { first: Failpoint }> = {
  'before-attempt-adopted': { first: 'after-container-release' },
  'after-attempt-adopted': { first: 'after-container-release' },
  'after-attempt-lost': { first: 'before-container-release' },
  'before-run-recovered': { first: 'after-container-release' },
  'after-run-recovered': { first: 'after-container-exited' },
};

describe.concurrent('a run whose daemon is killed', () => {
  for (const [name, { at, lost = 0, again = false }] of Object.entries(alone)) {
    test(`${name} leaves what an unbroken one leaves, and repeats no success`, async () => {
      using _turn = await turns.take();
      await using world = await KnownRun.open(`${name}:${at}`);
      const told = await world.runThrough([], again);
      expect(told.lost).toBeLessThanOrEqual(lost);
      expect(await world.whatIsLeft()).toEqual([]);
    });
  }

  for (const [name, { first }] of Object.entries(onTheWayBack)) {
    test(`${first} and again ${name} leaves what an unbroken one leaves`, async () => {
      using _turn = await turns.take();
      await using world = await KnownRun.open(`${first}:1`);
      const told = await world.runThrough([name]);
      expect(told.lost).toBe(first === 'before-container-release' ? 1 : 0);
      expect(await world.whatIsLeft()).toEqual([]);
    });
  }

  test('six times before its task began goes on all the same: nothing was spent on it', async () => {
    using _turn = await turns.take();
    await using world = await KnownRun.open('before-container-release');
    const told = await world.runThrough(Array<Failpoint>(5).fill('before-container-release'));
    expect(told.lost).toBe(6);
    expect(await world.whatIsLeft()).toEqual([]);
  });
});

/** So many daemons at once and no more: each keeps sandboxes ready. */
class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  async take(): Promise<Disposable> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return { [Symbol.dispose]: () => this.#give() };
  }

  #give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}

const turns = new Turns(2);
