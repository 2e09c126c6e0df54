import type { LogRecord } from '#contract/records.ts';
import { formatSize } from '#contract/units.ts';
import { runLine } from './run-phrases.ts';

/** What happens to a run beside its tasks: what is fetched for it, who pauses it, restarts. */
export class Activity {
  #total = 0;
  #fetched = 0;
  #isFetching = false;

  /** Answers a line worth keeping, when one is. */
  see(record: LogRecord): string | undefined {
    const { type, stage, data } = record;
    if (type === 'provision.requested') {
      this.#total = Number(data['packages'] ?? 0);
      this.#fetched = 0;
      this.#isFetching = true;
      return `packages: ${this.#total} pinned by the lockfile`;
    }
    if (type === 'package.fetched' && stage === 'result') this.#fetched += 1;
    if (type !== 'provision.finished') return runLine(record);
    this.#isFetching = false;
    const bytes = formatSize(Number(data['bytes'] ?? 0));
    return `packages: ${Number(data['fetched'] ?? 0)} fetched (${bytes}), the rest was there`;
  }

  /** What is going on now, in a few words. */
  get now(): string | undefined {
    return this.#isFetching && this.#fetched > 0
      ? `fetching packages, ${this.#fetched} of at most ${this.#total}`
      : undefined;
  }
}
