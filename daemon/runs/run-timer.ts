/** Counts the time that a run may take; it can stand still, for as long as there is any cause to. */
export class RunTimer implements Disposable {
  readonly #onEnd: () => void;
  #leftMs: number;
  #since: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  readonly #causes = new Set<string>();

  constructor(leftMs: number, onEnd: () => void) {
    this.#leftMs = leftMs;
    this.#onEnd = onEnd;
    this.go();
  }

  go(cause = ''): void {
    this.#causes.delete(cause);
    if (this.#since !== undefined || this.#causes.size > 0) return;
    this.#since = performance.now();
    // A timer of Node takes 24 days at most, which is what a run may ask for.
    this.#timer = setTimeout(this.#onEnd, Math.max(0, this.#leftMs));
  }

  stop(cause = ''): void {
    this.#causes.add(cause);
    if (this.#since === undefined) return;
    this.#leftMs -= performance.now() - this.#since;
    this.#since = undefined;
    clearTimeout(this.#timer);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}
