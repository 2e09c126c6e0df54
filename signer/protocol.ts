/**
 * What a signer is asked and what it answers: one JSON object a line, each request with a number of
 * its own, answered in order. Hashes and proofs are base64.
 */
export type Question =
  | { op: 'hello' }
  /** `follows`: the key that this one replaces, which is gone with its signer. */
  | { op: 'init'; origin: string; follows?: GoneKey }
  | ({ op: 'sign' } & Continuation)
  | { op: 'prepare'; origin: string }
  | ({ op: 'rotate'; record: string; inclusion: string[] } & Continuation);

export type GoneKey = { epoch: number; vkey: string; size: number; root: string };

/** A tree, and the proof that it begins with the one of `from` leaves, the last that was signed. */
export type Continuation = {
  origin: string;
  size: number;
  root: string;
  from: number;
  proof: string[];
};

/** Where a signer stands. */
export type SignerState = {
  origin: string;
  epoch: number;
  vkey: string;
  /** What witnesses are told to know this log by; it stays when the epoch ends. */
  witness_vkey: string;
  /** The tree that was signed last; 0 before the first. */
  size: number;
  root: string;
  /** The last note, where this key signed one. */
  last_note?: string;
  /** A key that is ready to follow. */
  pending?: { epoch: number; vkey: string };
  /** The last note of the key before this one. */
  final_note?: string;
  /** Where the key before this one was given up: what it had signed last. */
  lost?: { vkey: string; size: number; root: string };
};

/** A signer that was never told of a log has no state. */
export type Answers = {
  hello: { state?: SignerState };
  init: { state: SignerState };
  sign: { note: string };
  prepare: { vkey: string };
  rotate: { note: string };
};

export const refusals = [
  'malformed',
  'no_state',
  'other_origin',
  'not_from_last',
  'shrinks',
  'bad_proof',
  'bad_record',
  'no_pending',
  'failed',
] as const;
export type Refusal = (typeof refusals)[number];

export type Reply = { id: number; answer: object } | { id: number; refused: Refusal; why: string };

/** A question of the longest proofs and of the longest record takes less than half of it. */
export const lineBytesMax = 128 * 1024;
