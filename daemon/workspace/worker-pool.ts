import { Worker } from 'node:worker_threads';
import { OrchestraError } from '#contract/errors.ts';
import type { Batch } from './batches.ts';
import type { Operations } from './operations.ts';
import { errorOf, type Failure } from './thread-failure.ts';

/** What travels to a worker. `data` and `end` belong to the request that is under way. */
export type ToWorker =
  | { kind: 'start'; name: keyof Operations; args: unknown; streamed: boolean }
  | { kind: 'data'; batch: Batch }
  | { kind: 'end' }
  /** A piece of what it makes was taken: there is room for another. */
  | { kind: 'room' }
  /** An upload is about to come. */
  | { kind: 'warm' };
export type FromWorker =
  | { kind: 'taken' }
  | { kind: 'piece'; bytes: Uint8Array<ArrayBuffer> }
  | { kind: 'done'; value: unknown }
  | Failure;

export type RunOptions = {
  input?: AsyncIterable<Batch>;
  /** What it makes, piece by piece; the next one comes once this one is taken. */
  output?: (piece: Uint8Array<ArrayBuffer>) => Promise<void>;
  signal?: AbortSignal;
};

const workersMax = 2;
const waitingMax = 256;
const batchesAhead = 12;
const idleMs = 20_000;

/**
 * Threads for the long chains of file calls, which Node does quickest synchronously and which the
 * daemon's own loop must not wait for. One operation at a time in each; an aborted one loses its
 * thread. Threads come when needed and go when idle.
 */
export class WorkerPool {
  readonly #url: URL;
  readonly #idle: { worker: Worker; timer: NodeJS.Timeout }[] = [];
  readonly #waiting: (() => void)[] = [];
  #busy = 0;
  #closed = false;

  constructor(url: URL) {
    this.#url = url;
  }

  async run<N extends keyof Operations>(
    name: N,
    args: Operations[N]['args'],
    { input, output, signal }: RunOptions = {},
  ): Promise<Operations[N]['value']> {
    signal?.throwIfAborted();
    await this.#turn();
    let worker: Worker | undefined;
    try {
      signal?.throwIfAborted();
      if (this.#closed) throw new OrchestraError('daemon.stopping', 'The workspace is closed');
      worker = this.#take();
      const value = await converse(worker, { name, args, input, output, signal });
      this.#keep(worker);
      worker = undefined;
      return value as Operations[N]['value'];
    } catch (cause) {
      // A worker that says what failed has cleaned up after itself and can go on.
      if (cause instanceof WorkerFailure) {
        if (worker !== undefined) this.#keep(worker);
        worker = undefined;
        throw cause.cause;
      }
      throw cause;
    } finally {
      // Aborted in the middle it may hold files open: the thread goes with them.
      await worker?.terminate();
      this.#busy -= 1;
      this.#waiting.shift()?.();
    }
  }

  /** Has a thread ready for an upload that is about to come. */
  warm(): void {
    if (this.#idle.length > 0 || this.#busy >= workersMax || this.#closed) return;
    const worker = new Worker(this.#url);
    // Nobody waits for it yet. When it cannot start, the next one cannot either and says so.
    worker.on('error', () => undefined);
    worker.once('exit', () => this.#forget(worker));
    worker.postMessage({ kind: 'warm' } satisfies ToWorker);
    this.#keep(worker);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const idle = this.#idle.splice(0);
    await Promise.all(
      idle.map(({ worker, timer }) => {
        clearTimeout(timer);
        return worker.terminate();
      }),
    );
  }

  async #turn(): Promise<void> {
    if (this.#busy >= workersMax) {
      if (this.#waiting.length >= waitingMax) {
        throw new OrchestraError('daemon.busy', 'Too many file operations are waiting');
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#busy += 1;
  }

  #take(): Worker {
    const kept = this.#idle.pop();
    if (kept === undefined) return new Worker(this.#url);
    clearTimeout(kept.timer);
    kept.worker.ref();
    return kept.worker;
  }

  #keep(worker: Worker): void {
    if (this.#closed) {
      void worker.terminate();
      return;
    }
    worker.unref();
    const timer = setTimeout(() => {
      this.#forget(worker);
      void worker.terminate();
    }, idleMs);
    timer.unref();
    this.#idle.push({ worker, timer });
  }

  #forget(worker: Worker): void {
    const at = this.#idle.findIndex((kept) => kept.worker === worker);
    if (at >= 0) clearTimeout(this.#idle.splice(at, 1)[0]?.timer);
  }
}

class WorkerFailure extends Error {}

type Call = {
  name: keyof Operations;
  args: unknown;
  input: RunOptions['input'];
  output: RunOptions['output'];
  signal: AbortSignal | undefined;
};

/** How many batches may be on their way: the sender waits for room, or until the worker has ended. */
class Window {
  #ahead = 0;
  #ended = false;
  #change = Promise.withResolvers<void>();

  async room(): Promise<boolean> {
    while (this.#ahead >= batchesAhead && !this.#ended) {
      this.#change = Promise.withResolvers<void>();
      await this.#change.promise;
    }
    this.#ahead += 1;
    return !this.#ended;
  }

  taken(): void {
    this.#ahead -= 1;
    this.#change.resolve();
  }

  end(): void {
    this.#ended = true;
    this.#change.resolve();
  }

  get ended(): boolean {
    return this.#ended;
  }
}

async function converse(
  worker: Worker,
  { name, args, input, output, signal }: Call,
): Promise<unknown> {
  const answer = Promise.withResolvers<unknown>();
  // The feeder may stop on the failure before anybody awaits the answer.
  answer.promise.catch(() => undefined);
  const window = new Window();
  const fail = (cause: Error): void => {
    window.end();
    answer.reject(cause);
  };
  const onMessage = (message: FromWorker): void => {
    if (message.kind === 'taken') window.taken();
    else if (message.kind === 'piece') {
      const taken = output?.(message.bytes) ?? Promise.resolve();
      taken.then(() => send({ kind: 'room' }), fail);
    } else if (message.kind === 'failed') fail(new WorkerFailure('', { cause: errorOf(message) }));
    else answer.resolve(message.value);
  };
  const onExit = (): void => fail(new Error('the file worker ended'));
  const onAbort = (): void => fail(signal?.reason as Error);
  worker.on('message', onMessage).on('error', fail).on('exit', onExit);
  signal?.addEventListener('abort', onAbort, { once: true });
  const send = (message: ToWorker, transfer: ArrayBuffer[] = []): void =>
    worker.postMessage(message, transfer);
  try {
    send({ kind: 'start', name, args, streamed: input !== undefined });
    // Who is aborted or refused does not wait for a sender that may never send again.
    if (input !== undefined) await Promise.race([feed(input, window, send), answer.promise]);
    return await answer.promise;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    worker.off('message', onMessage).off('error', fail).off('exit', onExit);
  }
}

/** The batches go with their memory: nothing is copied, and nothing is left for this thread to collect. */
async function feed(
  input: AsyncIterable<Batch>,
  window: Window,
  send: (message: ToWorker, transfer?: ArrayBuffer[]) => void,
): Promise<void> {
  for await (const batch of input) {
    if (!(await window.room())) return;
    send(
      { kind: 'data', batch },
      batch.map((chunk) => chunk.buffer),
    );
  }
  if (!window.ended) send({ kind: 'end' });
}
