import { Worker } from 'node:worker_threads';
import type { Batch } from './batches.ts';
import type { Place } from './operations.ts';
import { errorOf, type Failure } from './thread-failure.ts';
import type { Step } from './tree-steps.ts';

export type ToTree =
  | { kind: 'start'; place: Place; temp: string }
  | { kind: 'data'; steps: readonly Step[]; batch: Batch }
  | { kind: 'end'; steps: readonly Step[] };
export type FromTree = { kind: 'taken' } | { kind: 'done' } | Failure;

export type TreeEvents = {
  /** One batch is written and its memory free. */
  taken(): void;
  /** Once, and nothing is written after it: all is there, or what came after the failure is not. */
  ended(failed: { cause: unknown } | undefined): void;
};

/** The thread that writes what this one has read, one tree after another. It ends with this one. */
export class TreeThread {
  readonly #worker = new Worker(new URL('./tree-worker.ts', import.meta.url));
  #events: TreeEvents | undefined;
  #broken: { cause: unknown } | undefined;

  constructor() {
    this.#worker.on('message', (message: FromTree) => {
      if (message.kind === 'taken') this.#events?.taken();
      else this.#end(message.kind === 'failed' ? { cause: errorOf(message) } : undefined);
    });
    this.#worker.on('error', (cause) => {
      this.#broken ??= { cause };
    });
    // Not before: until it is gone it may still write.
    this.#worker.on('exit', () => {
      this.#broken ??= { cause: new Error('the tree thread ended') };
      this.#end(this.#broken);
    });
  }

  /** It will not take anything any more. */
  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  start(place: Place, temp: string, events: TreeEvents): void {
    this.#events = events;
    this.#say({ kind: 'start', place, temp });
  }

  /** The batch goes with its memory. */
  write(steps: readonly Step[], batch: Batch): void {
    this.#say(
      { kind: 'data', steps, batch },
      batch.map((chunk) => chunk.buffer),
    );
  }

  end(steps: readonly Step[]): void {
    this.#say({ kind: 'end', steps });
  }

  #say(message: ToTree, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #end(failed: { cause: unknown } | undefined): void {
    const events = this.#events;
    this.#events = undefined;
    events?.ended(failed);
  }
}
