import { setImmediate as turn } from 'node:timers/promises';

/** Nothing of a run begins while its plan is exchanged: some milliseconds. */
export class Gate {
  #closed: PromiseWithResolvers<void> | undefined;

  /** Nothing where the way is free. */
  wait(): Promise<void> | undefined {
    return this.#closed?.promise;
  }

  /** When it resolves, whatever was let through before has begun. */
  async close(): Promise<void> {
    this.#closed ??= Promise.withResolvers();
    await turn();
  }

  open(): void {
    this.#closed?.resolve();
    this.#closed = undefined;
  }
}
