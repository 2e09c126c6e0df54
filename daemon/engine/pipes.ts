import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { OutputPiece } from './engine.ts';

/** Read ends of the named pipes that a waiting sandbox writes to, as file descriptors. */
export type PipeEnds = { out: number; err: number };

/**
 * The output of a sandbox straight from the kernel's pipes: no engine on the way, and an end that
 * comes with the last process that could write. What somebody writes to the engine's own stream all
 * the same (`/proc/1/fd/1`) is passed on until then.
 */
export function pipedOutput(
  ends: PipeEnds,
  ready: Promise<void>,
  engine: AsyncIterable<OutputPiece>,
): { output: AsyncGenerator<OutputPiece, void, undefined>; close(): void } {
  let sockets: Socket[] | undefined;
  let isClosed = false;
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    if (sockets === undefined) for (const fd of [ends.out, ends.err]) closeSync(fd);
    else for (const socket of sockets) socket.destroy();
  };
  async function* output(): AsyncGenerator<OutputPiece, void, undefined> {
    // Before somebody writes, a pipe reads as ended.
    await ready;
    if (isClosed) return;
    const [out, err] = [ends.out, ends.err].map((fd) => new Socket({ fd, readable: true }));
    if (out === undefined || err === undefined) return;
    sockets = [out, err];
    const hand = new Hand();
    const pass = async (source: AsyncIterable<Uint8Array>, s: 1 | 2) => {
      for await (const bytes of source) await hand.give({ s, bytes });
    };
    const piped = Promise.all([pass(out, 1), pass(err, 2)]);
    void (async () => {
      for await (const piece of engine) await hand.give(piece);
    })().catch(() => {});
    piped.then(
      () => hand.end(),
      (error: unknown) => hand.end(error),
    );
    try {
      yield* hand.pieces();
    } finally {
      close();
    }
  }
  return { output: output(), close };
}

/** From many hands into one: each giver waits until its piece was taken. */
class Hand {
  readonly #waiting: { piece: OutputPiece; taken: () => void }[] = [];
  #wake = Promise.withResolvers<void>();
  #isOver = false;
  #error: unknown;

  async give(piece: OutputPiece): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ piece, taken: resolve });
    this.#wake.resolve();
    await promise;
  }

  end(error?: unknown): void {
    this.#isOver = true;
    this.#error = error;
    this.#wake.resolve();
  }

  async *pieces(): AsyncGenerator<OutputPiece, void, undefined> {
    for (;;) {
      for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
        yield next.piece;
        next.taken();
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#isOver) return;
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
    }
  }
}
