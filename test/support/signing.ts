import { SignerRefused, type SignerPort } from '#daemon/audit/tree/signer-port.ts';
import type { Answers, Question } from '#signer/protocol.ts';
import { Refused, Signer, type SignerOptions } from '#signer/signer.ts';

/** A signer in this process: what it refuses and remembers is real, only the wire is missing. */
export class NearSigner implements SignerPort {
  readonly asked: Question[] = [];
  /** Throws or waits, to play a signer that is away or slow. */
  onAsk: (question: Question) => void | Promise<void> = () => {};
  readonly #options: SignerOptions;
  #signer: Promise<Signer> | undefined;

  constructor(options: SignerOptions) {
    this.#options = options;
  }

  async ask<Q extends Question>(question: Q): Promise<Answers[Q['op']]> {
    this.asked.push(question);
    await this.onAsk(question);
    const signer = await (this.#signer ??= Signer.open(this.#options));
    try {
      return await signer.ask(question);
    } catch (error) {
      if (error instanceof Refused) throw new SignerRefused(error.refusal, error.message);
      throw error;
    }
  }

  async close(): Promise<void> {
    (await this.#signer)?.[Symbol.dispose]();
    this.#signer = undefined;
  }
}
