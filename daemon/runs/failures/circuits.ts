import type { RecordData } from '#contract/records.ts';
import { cutText } from '../../base/text.ts';
import type { Clock } from '../../base/clock.ts';
import { Circuit, type CircuitMove, type Pass } from './circuit.ts';

/** What the log has to say, in the words of its records; `until_ms` is a wall clock's. */
export type ComponentEvent =
  | { type: 'component.opened'; data: RecordData<'component.opened'> }
  | { type: 'component.closed'; data: RecordData<'component.closed'> };

export type Blocked = RecordData<'task.blocked'>;

export type CircuitsOptions = {
  clock: Pick<Clock, 'now' | 'mono'>;
  /** Called at each move, at once and in order. */
  tell: (event: ComponentEvent) => void;
  /** Calls back after so many milliseconds; what it answers takes that back. */
  after?: (ms: number, call: () => void) => () => void;
};

const componentsMax = 256;

/**
 * Which parts of the machine work: `engine`, `runtime:runc`, `packages`. One that failed three times
 * in a row is left alone for a while, and whoever needs it waits or takes another.
 *
 * State is of this daemon only: after a restart everything is tried again.
 */
export class Circuits {
  readonly #options: Required<CircuitsOptions>;
  readonly #circuits = new Map<string, Circuit>();
  readonly #waiting = new Set<() => void>();

  constructor(options: CircuitsOptions) {
    this.#options = { after: laterUnheld, ...options };
  }

  /**
   * Resolves once every one of the components may be used, all taken together, and rejects with the
   * signal's reason. `blocked` is told, once for each component that it waits for, before it waits.
   */
  async admit(
    components: readonly string[],
    signal: AbortSignal,
    blocked?: (why: Blocked) => unknown,
  ): Promise<Leave> {
    const told = new Set<string>();
    for (;;) {
      signal.throwIfAborted();
      const [out] = components.filter((name) => !this.isFree(name));
      if (out === undefined) return this.#enter(components);
      if (!told.has(out)) {
        told.add(out);
        await blocked?.(this.#blocked(out));
        // It may have come back meanwhile.
        continue;
      }
      await this.#until(out, signal);
    }
  }

  /** Whether it may be used or tried now. */
  isFree(component: string): boolean {
    return this.#waitMs(component) === 0;
  }

  /**
   * The first that is free, in the order of preference; else the one that is tried again soonest.
   * Give it only what may stand for each other, such as the runtimes that a policy lists.
   */
  choose(components: readonly [string, ...string[]]): string {
    const free = components.find((name) => this.isFree(name));
    if (free !== undefined) return free;
    return components.reduce((best, name) =>
      this.#waitMs(name) < this.#waitMs(best) ? name : best,
    );
  }

  #enter(components: readonly string[]): Leave {
    const passes = new Map<string, { circuit: Circuit; pass: Pass }>();
    for (const component of new Set(components)) {
      const name = nameOf(component);
      const circuit = this.#circuits.get(name) ?? this.#begin(name);
      if (circuit) passes.set(name, { circuit, pass: circuit.enter(this.#now()) });
    }
    return new Leave(passes, {
      worked: (name, { circuit, pass }) => this.#moved(name, circuit, circuit.worked(pass)),
      failed: (name, { circuit, pass }) =>
        this.#moved(name, circuit, circuit.failed(pass, this.#now())),
      left: (name, { circuit, pass }) => {
        circuit.leave(pass);
        if (circuit.isIdle) this.#circuits.delete(name);
        this.#wake();
      },
    });
  }

  /** One component too many is not watched: that only means it is never left alone. */
  #begin(name: string): Circuit | undefined {
    if (this.#circuits.size >= componentsMax) return undefined;
    const circuit = new Circuit();
    this.#circuits.set(name, circuit);
    return circuit;
  }

  #moved(component: string, circuit: Circuit, move: CircuitMove): void {
    if (move === undefined) return;
    if (move === 'opened') {
      const until_ms = Math.ceil(this.#options.clock.now() + circuit.waitMs(this.#now()));
      const { failures } = circuit;
      this.#options.tell({ type: 'component.opened', data: { component, failures, until_ms } });
    } else {
      this.#options.tell({ type: 'component.closed', data: { component } });
    }
    this.#wake();
  }

  #blocked(component: string): Blocked {
    const name = nameOf(component);
    const failures = this.#circuits.get(name)?.failures ?? 0;
    const seconds = Math.ceil(this.#waitMs(name) / 1000);
    const reason = `${name} failed ${failures} times in a row; it is tried again in ${seconds} s`;
    return { component: name, reason: cutText(reason, 256) };
  }

  async #until(component: string, signal: AbortSignal): Promise<void> {
    const ms = this.#waitMs(component);
    if (ms === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    const cancel = this.#options.after(Math.max(1, Math.ceil(ms)), wake);
    this.#waiting.add(wake);
    signal.addEventListener('abort', wake, { once: true });
    try {
      await promise;
    } finally {
      cancel();
      this.#waiting.delete(wake);
      signal.removeEventListener('abort', wake);
    }
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }

  #waitMs(component: string): number {
    return this.#circuits.get(nameOf(component))?.waitMs(this.#now()) ?? 0;
  }

  #now(): number {
    return this.#options.clock.mono() / 1000;
  }
}

type Held = { circuit: Circuit; pass: Pass };
type Settle = Record<'worked' | 'failed' | 'left', (name: string, held: Held) => void>;

/** Leave to use some components. Say what came of it, and dispose of it at the end in any case. */
export class Leave implements Disposable {
  readonly #passes: ReadonlyMap<string, Held>;
  readonly #settle: Settle;
  #isOver = false;

  constructor(passes: ReadonlyMap<string, Held>, settle: Settle) {
    this.#passes = passes;
    this.#settle = settle;
  }

  /**
   * All of them did what they are for. Say so as soon as the task was let go, not when it is over:
   * others wait for this word while a component is tried out.
   */
  worked(): void {
    if (this.#isOver) return;
    for (const [name, held] of this.#passes) this.#settle.worked(name, held);
  }

  /** This one is to blame. Of the others nothing is known, and nothing is said. */
  failed(component: string): void {
    const name = nameOf(component);
    const held = this.#passes.get(name);
    if (!this.#isOver && held) this.#settle.failed(name, held);
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const [name, held] of this.#passes) this.#settle.left(name, held);
  }
}

function nameOf(component: string): string {
  return cutText(component, 128);
}

function laterUnheld(ms: number, call: () => void): () => void {
  const timer = setTimeout(call, ms).unref();
  return () => clearTimeout(timer);
}
