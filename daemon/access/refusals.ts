import type { AnyEntry, Log } from '../audit/types.ts';

/** The types of record that say that somebody was refused; each has room for how many `more`. */
export type RefusalEntry = Extract<
  AnyEntry,
  { type: 'access.denied' | 'api.rejected' | 'auth.failed' | 'quota.refused' }
>;

export type RefusalsOptions = {
  log: Pick<Log, 'append' | 'blocked'>;
  /** Recorded one by one within a window; of what comes beyond, only the last and how many. */
  each?: number;
  windowMs?: number;
  /** Told apart at once; all beyond are one. */
  callersMax?: number;
};

type Window = { left: number; more: number; last: RefusalEntry | undefined; timer: NodeJS.Timeout };

/**
 * Refusals on record, so that nobody fills the log by being refused: of each caller the first ten a
 * minute one by one, of the others the last with how many there were, when the minute is over.
 */
export class Refusals implements AsyncDisposable {
  readonly #options: Required<RefusalsOptions>;
  readonly #windows = new Map<string, Window>();

  constructor(options: RefusalsOptions) {
    this.#options = { each: 10, windowMs: 60_000, callersMax: 1000, ...options };
  }

  /** `caller` is what tells callers apart: a uid, an address. Durable when it resolves, or counted. */
  async record(caller: string, entry: RefusalEntry): Promise<void> {
    const { log, callersMax } = this.#options;
    if (log.blocked) return;
    const own = `${entry.type} ${caller}`;
    const isKnown = this.#windows.has(own) || this.#windows.size < callersMax;
    const key = isKnown ? own : `${entry.type} others`;
    const window = this.#windows.get(key) ?? this.#open(key);
    if (window.left > 0) {
      window.left -= 1;
      await log.append(entry);
      return;
    }
    window.more += 1;
    window.last = entry;
  }

  /** What was only counted so far is recorded. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const key of this.#windows.keys()) await this.#close(key);
  }

  #open(key: string): Window {
    const { each, windowMs } = this.#options;
    const timer = setTimeout(() => {
      // A log that takes nothing more ends the daemon by itself.
      this.#close(key).catch(() => undefined);
    }, windowMs);
    timer.unref();
    const window: Window = { left: each, more: 0, last: undefined, timer };
    this.#windows.set(key, window);
    return window;
  }

  async #close(key: string): Promise<void> {
    const window = this.#windows.get(key);
    if (window === undefined) return;
    clearTimeout(window.timer);
    this.#windows.delete(key);
    const { more, last } = window;
    if (last === undefined || this.#options.log.blocked) return;
    await this.#options.log.append(withMore(last, more));
  }
}

/** The last of several that nobody recorded, of which `more` is the number. */
function withMore(entry: RefusalEntry, more: number): RefusalEntry {
  const { req: _one, ...rest } = entry;
  return { ...rest, data: { ...entry.data, more } } as RefusalEntry;
}
