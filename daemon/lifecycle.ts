import type { AnyRecord } from '#contract/records.ts';

/** How the last daemon on this log ended: a fold, like everything that is known. */
export class Lifecycle {
  #started = false;
  #stopped = true;
  #boot = '';

  fold(record: AnyRecord): void {
    if (record.type === 'daemon.started') {
      this.#started = true;
      this.#stopped = false;
      this.#boot = record.boot;
    }
    if (record.type === 'daemon.stopped') this.#stopped = true;
  }

  get wasClean(): boolean {
    return !this.#started || this.#stopped;
  }

  get lastBoot(): string {
    return this.#boot;
  }
}
