import { Learned, type KnownBy } from './learned.ts';
import type { Claim, Totals } from './ledger.ts';

export type Demanding = KnownBy & {
  limits: { cpuMilli: number; memoryBytes: number };
  locks?: readonly string[] | undefined;
};

const cpuRange = { from: 10, to: 1_024_000 };
const memoryRange = { from: 1024 ** 2, to: 1024 ** 4 };

/** Memory that is not there ends a task, a processor that is busy only slows it down. */
const memoryMargin = 1.25;

/**
 * What tasks are going to need, by what tasks like them needed: a fold over the log. Limits say
 * what a task *may* take, which is mostly far more; as claims they would have tasks wait for each
 * other that get on well together. What never ran claims its even part of the machine.
 */
export class Demands {
  readonly #cpu: Learned;
  readonly #memory: Learned;
  readonly #even: { cpuMilli: number; memoryBytes: number };

  constructor({ tasks, cpuMilli = 0, memoryBytes = 0 }: Totals, keysMax = 4_096) {
    this.#cpu = new Learned(cpuRange, keysMax);
    this.#memory = new Learned(memoryRange, keysMax);
    this.#even = {
      cpuMilli: Math.floor(cpuMilli / tasks),
      memoryBytes: Math.floor(memoryBytes / tasks),
    };
  }

  /** Of tasks that ran and succeeded; a figure of 0 was not measured. */
  note(task: KnownBy, took: { cpuMs: number; ms: number; memoryPeakBytes: number }): void {
    if (took.cpuMs > 0 && took.ms > 0) this.#cpu.note(task, (1000 * took.cpuMs) / took.ms);
    if (took.memoryPeakBytes > 0) this.#memory.note(task, took.memoryPeakBytes * memoryMargin);
  }

  clear(): void {
    this.#cpu.clear();
    this.#memory.clear();
  }

  /** Never above the limits: they are what the task cannot get past. */
  claim(task: Demanding): Claim {
    const { cpuMilli, memoryBytes } = task.limits;
    const cpu = this.#cpu.quantile(task, 0.5, this.#even.cpuMilli);
    const memory = this.#memory.quantile(task, 0.9, this.#even.memoryBytes);
    return {
      cpuMilli: Math.min(cpu, cpuMilli),
      memoryBytes: Math.min(memory, memoryBytes),
      locks: task.locks ?? [],
    };
  }
}
