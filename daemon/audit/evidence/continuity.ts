import type { LogRecord } from '#contract/records.ts';

export type Gap = {
  from: string;
  to: string;
  ms: number;
  after_seq?: number;
  /** Whether the daemon was stopped, as far as the records around it tell. */
  daemon: 'stopped' | 'running';
};

/** An idle daemon says once an hour that it is there; so much later nobody can say that it was. */
const gapMs = 2 * 3_600_000;
const gapsMax = 1_000;

/** Whether the log was kept without a break over a time: the longest silences, and heartbeats. */
export class Continuity {
  heartbeats = 0;
  readonly #gaps: Gap[] = [];
  #more = 0;
  #last: { at: number; seq?: number; isStop: boolean };
  readonly #to: number;

  constructor({ from, to }: { from: number; to: number }) {
    this.#last = { at: from, isStop: false };
    this.#to = to;
  }

  add({ seq, ts, type }: LogRecord): void {
    const at = Date.parse(ts);
    if (type === 'log.heartbeat') this.heartbeats += 1;
    this.#look(at, type === 'daemon.started' || type === 'log.genesis' || this.#last.isStop);
    this.#last = { at, seq, isStop: type === 'daemon.stopped' };
  }

  finish(now: number): object {
    this.#look(Math.min(this.#to, now), this.#last.isStop);
    return {
      heartbeats: this.heartbeats,
      gap_ms: gapMs,
      gaps: this.#gaps,
      ...(this.#more === 0 ? {} : { gaps_not_listed: this.#more }),
    };
  }

  #look(at: number, isStopped: boolean): void {
    const ms = at - this.#last.at;
    if (ms <= gapMs) return;
    if (this.#gaps.length >= gapsMax) {
      this.#more += 1;
      return;
    }
    this.#gaps.push({
      from: new Date(this.#last.at).toISOString(),
      to: new Date(at).toISOString(),
      ms,
      ...(this.#last.seq === undefined ? {} : { after_seq: this.#last.seq }),
      daemon: isStopped ? 'stopped' : 'running',
    });
  }
}
