import type { Logger } from 'pino';
import type { Pruner } from './pruner.ts';

export type BackgroundDeps = {
  pruner: Pick<Pruner, 'tidy'>;
  /** When it was done last, or could have been for the first time. */
  lastAt: number;
  openRuns: () => number;
  now: () => number;
  logger: Pick<Logger, 'warn'>;
};

const lookMs = 5_000;
const everyMs = 60 * 60_000;
const atLastMs = 24 * 60 * 60_000;

/**
 * Prunes when no run is open, once an hour at most, and gives way to the first run that comes. A
 * daemon that is never idle does it all the same once a day, behind everybody else.
 */
export class BackgroundPruning implements Disposable {
  readonly #deps: BackgroundDeps;
  #timer: NodeJS.Timeout | undefined;
  #lastAt: number;
  #wasIdle = false;
  #running: { controller: AbortController; givesWay: boolean } | undefined;

  constructor(deps: BackgroundDeps) {
    this.#deps = deps;
    // A clock that was set back must not put it off for ever.
    this.#lastAt = Math.min(deps.lastAt, deps.now());
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), lookMs).unref();
  }

  /** Resolves when what it began is over. */
  async look(): Promise<void> {
    const { openRuns, now, pruner, logger } = this.#deps;
    const isIdle = openRuns() === 0;
    const wasIdle = this.#wasIdle;
    this.#wasIdle = isIdle;
    if (this.#running !== undefined) {
      if (!isIdle && this.#running.givesWay) this.#running.controller.abort();
      return;
    }
    const waited = now() - this.#lastAt;
    const isQuiet = isIdle && wasIdle && waited >= everyMs;
    if (!isQuiet && waited < atLastMs) return;
    const controller = new AbortController();
    this.#running = { controller, givesWay: isQuiet && waited < atLastMs };
    try {
      await pruner.tidy(controller.signal);
      this.#lastAt = now();
    } catch (error) {
      if (controller.signal.aborted) return;
      this.#lastAt = now();
      logger.warn({ err: error }, 'the store could not be pruned');
    } finally {
      this.#running = undefined;
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#running?.controller.abort();
  }
}
