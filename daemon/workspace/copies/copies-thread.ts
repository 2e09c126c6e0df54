import type { MessagePort } from 'node:worker_threads';
import type { Xattrs } from '../../artifacts/xattr.ts';
import type { Batch } from '../batches.ts';
import { failureOf } from '../thread-failure.ts';
import type { FromWorker } from '../worker-pool.ts';
import { packView, type PackRequest } from './pack.ts';
import { Unpack, type UnpackRequest } from './unpack.ts';

/** So many pieces may wait for whoever takes them. */
const piecesAhead = 3;

/** What goes out and comes in as a tar stream, one at a time, in a thread of its own. */
export class Copies {
  readonly #port: MessagePort;
  readonly #xattrs: Xattrs;
  #unpack: Unpack | undefined;
  #room = piecesAhead;
  #waiting: (() => void) | undefined;

  constructor(port: MessagePort, xattrs: Xattrs) {
    this.#port = port;
    this.#xattrs = xattrs;
  }

  room(): void {
    this.#room += 1;
    this.#waiting?.();
    this.#waiting = undefined;
  }

  pack(request: PackRequest): void {
    this.#room = piecesAhead;
    this.#send(request).then(
      () => this.#say({ kind: 'done', value: undefined }),
      (cause: unknown) => this.#say(failureOf(cause)),
    );
  }

  async #send(request: PackRequest): Promise<void> {
    for (const bytes of packView(request, this.#xattrs)) {
      if (this.#room === 0) await new Promise<void>((resolve) => (this.#waiting = resolve));
      this.#room -= 1;
      this.#port.postMessage({ kind: 'piece', bytes } satisfies FromWorker, [bytes.buffer]);
    }
    // Nobody is told that it is done before all of it was taken.
    while (this.#room < piecesAhead) {
      await new Promise<void>((resolve) => (this.#waiting = resolve));
    }
  }

  unpack(request: UnpackRequest): void {
    try {
      this.#unpack = new Unpack(request);
    } catch (cause) {
      this.#say(failureOf(cause));
    }
  }

  /** False where this is nobody's here. */
  data(batch: Batch): boolean {
    return this.#with((unpack) => {
      unpack.take(batch);
      for (const chunk of batch) chunk.buffer.transfer(0);
      if (unpack.isOver) this.#finish(unpack);
      else this.#say({ kind: 'taken' });
    });
  }

  end(): boolean {
    return this.#with((unpack) => this.#finish(unpack));
  }

  #finish(unpack: Unpack): void {
    const value = unpack.end();
    unpack.abort();
    this.#unpack = undefined;
    this.#say({ kind: 'done', value });
  }

  #with(act: (unpack: Unpack) => void): boolean {
    const unpack = this.#unpack;
    if (unpack === undefined) return false;
    try {
      act(unpack);
    } catch (cause) {
      this.#unpack = undefined;
      try {
        unpack.abort();
      } catch {
        // The first failure is the one to tell.
      }
      this.#say(failureOf(cause));
    }
    return true;
  }

  #say(message: FromWorker): void {
    this.#port.postMessage(message);
  }
}
