import type { Batch, Target } from '../target.ts';

/** A socket of this machine, of whichever of its two kinds: which one shows when it is opened. */
export class UnixTarget implements Target {
  readonly #stream: () => Target;
  readonly #datagram: () => Promise<Target>;
  #chosen: Target | undefined;
  #sentTo: number | undefined;

  constructor(kinds: { stream: () => Target; datagram: () => Promise<Target> }) {
    this.#stream = kinds.stream;
    this.#datagram = kinds.datagram;
  }

  async send(batch: Batch, signal: AbortSignal): Promise<void> {
    const target = (this.#chosen ??= this.#stream());
    try {
      await target.send(batch, signal);
      this.#sentTo = batch.to;
    } catch (error) {
      this.#chosen = undefined;
      if ((error as NodeJS.ErrnoException).code !== 'EPROTOTYPE') throw error;
      const other = await this.#datagram();
      await other.send(batch, signal);
      this.#chosen = other;
      this.#sentTo = batch.to;
    }
  }

  settled(): number | undefined {
    const target = this.#chosen;
    return target?.settled ? target.settled() : this.#sentTo;
  }

  async close(): Promise<void> {
    await this.#chosen?.close();
  }
}
