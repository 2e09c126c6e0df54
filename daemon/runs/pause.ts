import type { SandboxControl } from '../sandbox/control.ts';

/**
 * Whether anything new of a run may start, and what stands still with it. Not the truth about it,
 * which is in the log: what makes a run obey.
 */
export class Pause {
  readonly #running = new Set<SandboxControl>();
  #open: PromiseWithResolvers<void> | undefined;
  #isFrozen = false;
  #clock: { stop(): void; go(): void } | undefined;

  get isOpen(): boolean {
    return this.#open === undefined;
  }

  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  /** What counts the run's own time. */
  useClock(clock: { stop(): void; go(): void }): void {
    this.#clock = clock;
    if (this.#isFrozen) clock.stop();
  }

  /** Waits while the run is paused. Rejects with the reason of `signal`. */
  async admit(signal: AbortSignal): Promise<void> {
    while (this.#open !== undefined) {
      const given = Promise.withResolvers<never>();
      const giveUp = () => given.reject(signal.reason as Error);
      if (signal.aborted) giveUp();
      signal.addEventListener('abort', giveUp, { once: true });
      try {
        await Promise.race([this.#open.promise, given.promise]);
      } finally {
        signal.removeEventListener('abort', giveUp);
      }
    }
    signal.throwIfAborted();
  }

  drain(): void {
    this.#open ??= Promise.withResolvers();
  }

  /** Nothing new, and what runs stands still. One that cannot be stopped goes on, and that is said. */
  async freeze(): Promise<void> {
    this.drain();
    this.#isFrozen = true;
    this.#clock?.stop();
    await Promise.all([...this.#running].map((control) => control.freeze()));
  }

  async lift(): Promise<void> {
    if (this.#isFrozen) {
      this.#isFrozen = false;
      this.#clock?.go();
      await Promise.all([...this.#running].map((control) => control.thaw()));
    }
    this.#open?.resolve();
    this.#open = undefined;
  }

  /**
   * A sandbox with a task of the run in it, until what is given back is called. `stands`: it was
   * frozen by an earlier daemon.
   */
  watch(control: SandboxControl, stands = false): () => void {
    this.#running.add(control);
    // It may have been on its way when the others were stopped, or when they were let go.
    if (this.#isFrozen) void control.freeze().catch(() => {});
    else if (stands) void control.thaw().catch(() => {});
    return () => void this.#running.delete(control);
  }
}
