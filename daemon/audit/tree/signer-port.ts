import { OrchestraError } from '#contract/errors.ts';
import type { Answers, Question, Refusal } from '#signer/protocol.ts';

/** Whoever signs: a child of the daemon, or a process of its own behind a socket. */
export interface SignerPort {
  /**
   * Rejects with a `SignerRefused` where the signer says no, and with `audit.unsigned` where it does
   * not answer; then the question may have been done or not. Answered in order.
   */
  ask<Q extends Question>(question: Q): Promise<Answers[Q['op']]>;
  close(): Promise<void>;
}

/** The signer's own no. */
export class SignerRefused extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal, why: string) {
    super(why);
    this.refusal = refusal;
  }
}

export function noSigner(why: string, cause?: unknown): OrchestraError {
  return new OrchestraError('audit.unsigned', `The signer of the log does not answer: ${why}`, {
    hint: 'look at the log of orchestrad and of its signer; records are kept and signed later',
    cause,
  });
}
