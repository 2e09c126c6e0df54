import type { AnyRecord } from '#contract/records.ts';

/** How the last daemon on this log ended: a fold, like everything that is known. */
export class Lifecycle {
  #started = false;
  #stopped = true;
  #boot = '';
  #startedSeq: number | undefined;

  fold(record: AnyRecord): void {
    if (record.type === 'daemon.started') {
      this.#started = true;
      this.#stopped = false;
      this.#boot = record.boot;
      this.#startedSeq = record.seq;
    }
    if (record.type === 'daemon.stopped') this.#stopped = true;
  }

  get wasClean(): boolean {
    return !this.#started || this.#stopped;
  }

  /** Where the last daemon said how it began: settings and policies in force stand behind it. */
  get startedSeq(): number | undefined {
    return this.#startedSeq;
  }

  get lastBoot(): string {
    return this.#boot;
  }
}
