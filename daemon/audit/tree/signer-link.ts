import type { Readable, Writable } from 'node:stream';
import type { Answers, Question, Reply } from '#signer/protocol.ts';
import { noSigner, SignerRefused, type SignerPort } from './signer-port.ts';

/** One connection, or one process, with its two streams. */
export type Wire = {
  input: Writable;
  output: Readable;
  /** Ends it for good. */
  end(): Promise<void>;
};

export type LinkOptions = {
  connect: () => Promise<Wire>;
  /** How long an answer may take. */
  deadlineMs?: number;
  /** The pause after a failure; twice as long after each further one, a minute at most. */
  pauseMs?: number;
};

const lineBytesMax = 64 * 1024;
const waitingMax = 64;
const pauseMaxMs = 60_000;

type Waiting = {
  resolve: (answer: object) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
};

/** Asks a signer over a wire, and gets a new wire where the old one broke. */
export class SignerLink implements SignerPort {
  readonly #options: Required<LinkOptions>;
  readonly #waiting = new Map<number, Waiting>();
  #wire: Promise<Wire> | undefined;
  #number = 0;
  #failures = 0;
  #notBefore = 0;
  #lastTrouble = 'it was not asked yet';
  #isClosed = false;

  constructor({ connect, deadlineMs = 10_000, pauseMs = 250 }: LinkOptions) {
    this.#options = { connect, deadlineMs, pauseMs };
  }

  async ask<Q extends Question>(question: Q): Promise<Answers[Q['op']]> {
    if (this.#isClosed) throw noSigner('it was let go');
    if (this.#waiting.size >= waitingMax) throw noSigner('too many questions wait');
    const wire = await this.#connected();
    this.#number += 1;
    const id = this.#number;
    const answer = new Promise<object>((resolve, reject) => {
      const timer = setTimeout(() => this.#lose('no answer in time'), this.#options.deadlineMs);
      this.#waiting.set(id, { resolve, reject, timer });
    });
    wire.input.write(`${JSON.stringify({ id, ...question })}\n`);
    return answer as Promise<Answers[Q['op']]>;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const wire = this.#wire;
    this.#lose('it was let go');
    await (await wire?.catch(() => undefined))?.end();
  }

  #connected(): Promise<Wire> {
    if (this.#wire !== undefined) return this.#wire;
    if (performance.now() < this.#notBefore) {
      return Promise.reject(noSigner(this.#lastTrouble));
    }
    const wire = this.#options.connect();
    this.#wire = wire;
    wire.then(
      (made) => this.#listen(made, wire),
      (error: Error) => this.#lose(error.message, wire),
    );
    return wire.catch((error: unknown) => {
      throw noSigner((error as Error).message, error);
    });
  }

  #listen({ input, output }: Wire, wire: Promise<Wire>): void {
    input.on('error', () => {});
    output.on('error', () => {});
    let rest = '';
    output.setEncoding('utf8');
    output.on('data', (text: string) => {
      rest += text;
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(line, wire);
      if (rest.length > lineBytesMax) this.#lose('it says more than it should', wire);
    });
    output.once('close', () => this.#lose('it ended', wire));
  }

  #take(line: string, wire: Promise<Wire>): void {
    let reply: Reply;
    try {
      reply = JSON.parse(line) as Reply;
    } catch {
      this.#lose('it does not speak as a signer', wire);
      return;
    }
    const waiting = this.#waiting.get(reply.id);
    if (waiting === undefined) return;
    this.#waiting.delete(reply.id);
    clearTimeout(waiting.timer);
    this.#failures = 0;
    if ('refused' in reply) waiting.reject(new SignerRefused(reply.refused, reply.why));
    else waiting.resolve(reply.answer);
  }

  /** Everybody who waits is told; the next question gets a new wire, after a pause. */
  #lose(why: string, of: Promise<Wire> | undefined = this.#wire): void {
    if (of !== this.#wire) return;
    this.#wire = undefined;
    this.#failures += 1;
    this.#lastTrouble = why;
    const pause = this.#options.pauseMs * 2 ** Math.min(this.#failures - 1, 16);
    this.#notBefore = performance.now() + Math.min(pause, pauseMaxMs);
    void of?.then((wire) => wire.end()).catch(() => {});
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(noSigner(why));
    }
    this.#waiting.clear();
  }
}
