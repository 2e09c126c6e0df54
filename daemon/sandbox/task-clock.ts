/**
 * The time of one task, in milliseconds: it passes while the task may run and stands still while the
 * task is frozen. What waits for a moment of it waits along.
 */
export class TaskClock implements Disposable {
  #passedMs: number;
  /** When it began to run; undefined while it stands. */
  #since: number | undefined;
  readonly #alarms = new Set<Alarm>();

  /** `passedMs` had passed before, under an earlier daemon. */
  constructor({ passedMs = 0, isStopped = false } = {}) {
    this.#passedMs = passedMs;
    this.#since = isStopped ? undefined : performance.now();
  }

  get ms(): number {
    return this.#passedMs + (this.#since === undefined ? 0 : performance.now() - this.#since);
  }

  /** Rings once, when so much more of it has passed. */
  after(ms: number, ring: () => void): Disposable {
    const alarm: Alarm = { at: this.ms + ms, ring, timer: undefined };
    this.#alarms.add(alarm);
    this.#set(alarm);
    return { [Symbol.dispose]: () => this.#drop(alarm) };
  }

  stop(): void {
    this.#passedMs = this.ms;
    this.#since = undefined;
    for (const { timer } of this.#alarms) clearTimeout(timer);
  }

  go(): void {
    this.#since ??= performance.now();
    for (const alarm of this.#alarms) this.#set(alarm);
  }

  [Symbol.dispose](): void {
    for (const alarm of this.#alarms) this.#drop(alarm);
  }

  #set(alarm: Alarm): void {
    clearTimeout(alarm.timer);
    if (this.#since === undefined) return;
    // A timer cannot wait longer than this: then it is set again.
    const ms = Math.min(Math.max(0, Math.ceil(alarm.at - this.ms)), 2 ** 31 - 1);
    alarm.timer = setTimeout(() => {
      if (alarm.at > this.ms) return this.#set(alarm);
      this.#drop(alarm);
      alarm.ring();
    }, ms);
  }

  #drop(alarm: Alarm): void {
    clearTimeout(alarm.timer);
    this.#alarms.delete(alarm);
  }
}

type Alarm = { at: number; ring: () => void; timer: NodeJS.Timeout | undefined };
