import type { Log } from '../../audit/types.ts';

/** How long it has to look the same before it counts: a task that ends is followed by another. */
const settleMs = 250;

export type PeopleOptions = {
  run: string;
  log: Pick<Log, 'append' | 'blocked'>;
  /** Counts the time that the run may take. */
  clock: { stop(cause: string): void; go(cause: string): void };
  settleMs?: number;
};

/**
 * Which tasks of a run are at work and which wait for people. While nothing else could go on, the
 * run's own time stands still: nobody loses a run because somebody slept. On record, so that the next
 * daemon counts alike.
 */
export class People implements Disposable {
  readonly #options: PeopleOptions;
  readonly #working = new Set<string>();
  readonly #waiting = new Set<string>();
  #couldBegin: (isBusy: (task: string) => boolean) => boolean = () => true;
  #timer: NodeJS.Timeout | undefined;
  #stands = false;
  #told: Promise<unknown> = Promise.resolve();

  constructor(options: PeopleOptions) {
    this.#options = options;
  }

  /** How to find out whether some task that is not busy could begin. */
  use(couldBegin: (isBusy: (task: string) => boolean) => boolean): void {
    this.#couldBegin = couldBegin;
  }

  async working<R>(task: string, work: () => Promise<R>): Promise<R> {
    this.#working.add(task);
    this.#goOn();
    try {
      return await work();
    } finally {
      this.#working.delete(task);
      this.#look();
    }
  }

  async waits<R>(task: string, wait: () => Promise<R>): Promise<R> {
    this.#waiting.add(task);
    this.#look();
    try {
      return await wait();
    } finally {
      this.#waiting.delete(task);
      this.#goOn();
    }
  }

  /** The run is about to be closed, or another daemon goes on with it: that is `left`. */
  async over({ left = false } = {}): Promise<void> {
    clearTimeout(this.#timer);
    this.#waiting.clear();
    if (!left) this.#goOn();
    await this.#told;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  #onlyWaits(): boolean {
    if (this.#waiting.size === 0) return false;
    for (const task of this.#working) if (!this.#waiting.has(task)) return false;
    return !this.#couldBegin((task) => this.#working.has(task));
  }

  #look(): void {
    clearTimeout(this.#timer);
    if (this.#waiting.size === 0 || this.#stands) return;
    this.#timer = setTimeout(() => {
      if (this.#stands || !this.#onlyWaits()) return;
      this.#stands = true;
      this.#options.clock.stop('people');
      this.#tell({ type: 'run.stands', data: { requests: this.#waiting.size } });
    }, this.#options.settleMs ?? settleMs);
    this.#timer.unref();
  }

  #goOn(): void {
    clearTimeout(this.#timer);
    if (!this.#stands) {
      this.#look();
      return;
    }
    if (this.#onlyWaits()) return;
    this.#stands = false;
    this.#options.clock.go('people');
    this.#tell({ type: 'run.goes_on', data: {} });
  }

  #tell(
    entry:
      | { type: 'run.stands'; data: { requests: number } }
      | { type: 'run.goes_on'; data: Record<string, never> },
  ): void {
    const { log, run } = this.#options;
    if (log.blocked) return;
    // A blocked log stops the daemon elsewhere.
    this.#told = log.append({ ...entry, run }).catch(() => {});
  }
}
