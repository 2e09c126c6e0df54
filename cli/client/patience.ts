import { setTimeout as sleep } from 'node:timers/promises';
import { OrchestraError } from '#contract/errors.ts';

const patienceMs = 30_000;
const firstPauseMs = 100;
const pauseMaxMs = 2_000;
const passing = new Set(['daemon.unreachable', 'daemon.stopping', 'request.timeout']);

export type PatienceOptions = {
  /** For how long nothing may answer; 30 s if left out. */
  patienceMs?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Once for each gap: that the daemon went away, and that it is back. */
  onGap?: ((gap: 'lost' | 'back') => void) | undefined;
};

/** How long to go on with a daemon that was there a moment ago and restarts, as far as one knows. */
export class Patience {
  readonly #options: PatienceOptions;
  #since: number | undefined;
  #pauseMs = firstPauseMs;

  constructor(options: PatienceOptions = {}) {
    this.#options = options;
  }

  /** Something answered. */
  answered(): void {
    if (this.#since === undefined) return;
    this.#since = undefined;
    this.#pauseMs = firstPauseMs;
    this.#options.onGap?.('back');
  }

  /** Waits a little longer each time. Throws what is no gap, and a gap that lasts too long. */
  async wait(error: unknown): Promise<void> {
    const { signal, onGap } = this.#options;
    signal?.throwIfAborted();
    if (!(error instanceof OrchestraError) || !passing.has(error.code)) throw error;
    if (this.#since === undefined) {
      this.#since = performance.now();
      onGap?.('lost');
    }
    if (performance.now() - this.#since > (this.#options.patienceMs ?? patienceMs)) throw error;
    await sleep(this.#pauseMs, undefined, { signal });
    this.#pauseMs = Math.min(2 * this.#pauseMs, pauseMaxMs);
  }
}

/** Asks again while the daemon is away; only for what may be asked twice. */
export async function acrossRestart<T>(
  ask: () => Promise<T>,
  options: PatienceOptions = {},
): Promise<T> {
  const patience = new Patience(options);
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      await patience.wait(error);
    }
  }
}
