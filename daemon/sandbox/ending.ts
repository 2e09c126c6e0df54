import { OrchestraError } from '#contract/errors.ts';
import { within } from '../base/deadline.ts';
import type { ActContext, Engine } from '../engine/engine.ts';

/**
 * Why a task was ended: a limit by its name, or `failed`, because Orchestra could not go on with it
 * (`disk_low`: because the disk is about to be full).
 */
export type Cause =
  | 'timeout'
  | 'idle'
  | 'output'
  | 'memory'
  | 'pids'
  | 'disk'
  | 'disk_files'
  | 'cancelled'
  | 'disk_low'
  | 'failed';

/**
 * Ends one started task, once: the first cause wins and later ones change nothing. Asked to end, a
 * task has a grace period before it is killed; killed, it has a hard deadline to be dead.
 */
export class Ending implements Disposable {
  cause: Cause | undefined;
  readonly #engine: Engine;
  readonly #graceMs: number;
  readonly #killMs: number;
  readonly #id: string;
  readonly #context: ActContext;
  readonly #overdue = Promise.withResolvers<never>();
  #isOver = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    deps: { engine: Engine; graceMs?: number; killMs?: number },
    id: string,
    context: ActContext,
  ) {
    this.#engine = deps.engine;
    this.#graceMs = deps.graceMs ?? 2_000;
    this.#killMs = deps.killMs ?? 15_000;
    this.#id = id;
    this.#context = context;
    // Nobody may be waiting for it at that moment.
    this.#overdue.promise.catch(() => {});
  }

  /** Asks the task to end once `signal` aborts, at once if it has. */
  when(signal: AbortSignal, cause: Cause): Disposable {
    const ask = () => this.ask(cause);
    signal.addEventListener('abort', ask, { once: true });
    if (signal.aborted) ask();
    return { [Symbol.dispose]: () => signal.removeEventListener('abort', ask) };
  }

  /** Ends it politely: SIGTERM, and SIGKILL after the grace period. */
  ask(cause: Cause): void {
    if (!this.#isFirst(cause)) return;
    const kill = () => this.#killNow();
    this.#timer = setTimeout(kill, this.#graceMs);
    this.#send('SIGTERM').catch(kill);
  }

  /** Ends it at once. */
  kill(cause: Cause): void {
    if (this.#isFirst(cause)) this.#killNow();
  }

  /** What `wait` resolves with. Rejects when the task outlives its kill, or the engine is lost. */
  async untilDead<T>(wait: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const stop = new AbortController();
    try {
      return await Promise.race([wait(stop.signal), this.#overdue.promise]);
    } finally {
      stop.abort();
      this.#over();
    }
  }

  /** The result of what has to end by itself now that the task is dead. */
  async soon<T>(work: Promise<T>, late: string): Promise<T> {
    return within(work, this.#killMs, () => new OrchestraError('engine.failed', late));
  }

  [Symbol.dispose](): void {
    this.#over();
  }

  #isFirst(cause: Cause): boolean {
    if (this.#isOver || this.cause !== undefined) return false;
    this.cause = cause;
    return true;
  }

  #killNow(): void {
    if (this.#isOver) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#overdue.reject(
        new OrchestraError('engine.failed', 'A killed sandbox did not end', {
          hint: 'orchestra doctor',
        }),
      );
    }, this.#killMs);
    // The deadline above stands for a kill that did not arrive.
    this.#send('SIGKILL').catch(() => {});
  }

  async #send(name: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.#engine.signal(this.#id, name, { ...this.#context, why: this.cause ?? 'failed' });
  }

  #over(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }
}
