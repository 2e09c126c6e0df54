import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { OutputPiece } from './engine.ts';
import { pipesOpenLine } from './gate.ts';

/**
 * The named pipes that a sandbox will write to, as file descriptors. The write ends are held so that
 * the pipes do not read as ended before anybody opened them.
 */
export type PipeEnds = { out: PipeEnd; err: PipeEnd };
export type PipeEnd = { read: number; write: number };

export type PipedParts = {
  ends: PipeEnds;
  ready: Promise<void>;
  /** The engine's own stream: what somebody writes there all the same (`/proc/1/fd/1`) is passed on. */
  engine: AsyncIterable<OutputPiece>;
  /** An earlier daemon let the task go, and read some of its output. */
  isAdopted?: boolean;
};

/**
 * The output of a sandbox straight from the kernel's pipes: no engine on the way, and an end that
 * comes with the last process that could write. Of one that was adopted the end comes with `over`:
 * nobody can say whether its task has opened the pipes yet.
 */
export function pipedOutput({ ends: { out, err }, ready, engine, isAdopted = false }: PipedParts): {
  output: AsyncGenerator<OutputPiece, void, undefined>;
  /** Nobody writes any more, or ever will: what is in the pipes is all. May be called often. */
  over(): void;
  close(): void;
} {
  let sockets: Socket[] | undefined;
  let isClosed = false;
  let isOver = false;
  const over = () => {
    if (isOver) return;
    isOver = true;
    for (const { write } of [out, err]) closeSync(write);
  };
  const close = () => {
    if (isClosed) return;
    isClosed = true;
    over();
    if (sockets === undefined) for (const { read } of [out, err]) closeSync(read);
    else for (const socket of sockets) socket.destroy();
  };
  async function* output(): AsyncGenerator<OutputPiece, void, undefined> {
    await ready;
    if (isClosed) return;
    const ofOut = new Socket({ fd: out.read, readable: true });
    const ofErr = new Socket({ fd: err.read, readable: true });
    sockets = [ofOut, ofErr];
    const hand = new Hand();
    const pass = async (source: AsyncIterable<Uint8Array>, s: 1 | 2) => {
      for await (const bytes of source) await hand.give({ s, bytes });
    };
    const said = isAdopted ? goneOn(ofOut) : onceOpen(ofOut, over);
    const piped = Promise.all([pass(said, 1), pass(ofErr, 2)]);
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
  return { output: output(), over, close };
}

// Short enough to arrive whole (pipe(7), PIPE_BUF).
const openLine = Buffer.from(pipesOpenLine);

/** Takes off the front what the gate says once it has the pipes; the ends held here can go then. */
async function* onceOpen(
  source: AsyncIterable<Uint8Array>,
  over: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let isOpen = false;
  for await (const bytes of source) {
    if (isOpen) {
      yield bytes;
      continue;
    }
    const rest = afterLine(bytes);
    if (rest === undefined) throw new Error('the gate did not open');
    over();
    isOpen = true;
    if (rest.length > 0) yield rest;
  }
}

/** The gate's line is still there where the earlier daemon was gone before it read anything. */
async function* goneOn(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let isFirst = true;
  for await (const bytes of source) {
    const rest = (isFirst ? afterLine(bytes) : undefined) ?? bytes;
    isFirst = false;
    if (rest.length > 0) yield rest;
  }
}

function afterLine(bytes: Uint8Array): Uint8Array | undefined {
  const isThere = openLine.equals(bytes.subarray(0, openLine.length));
  return isThere ? bytes.subarray(openLine.length) : undefined;
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
