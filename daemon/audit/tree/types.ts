import type { Actor } from '#contract/records.ts';
import type { SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import type { Proof } from '#verifier/tlog/merkle.ts';
import type { NoteSignature } from '#verifier/tlog/note.ts';

/**
 * The Merkle tree over the hashes of the durable records; the index of a leaf is the number of its
 * record. Whatever it hands out was checked against its own root first.
 */
export interface LogTree {
  /** Leaves so far. */
  readonly size: number;
  /** Throws `internal.bug` for a size that the tree does not have. */
  rootAt(size: number): Promise<Buffer>;
  inclusion(index: number, size: number): Promise<Proof>;
  consistency(from: number, to: number): Promise<Proof>;
}

/** A tree while its log is being opened: `begin`, `add` for each record, `finish`. */
export interface TreeOpening {
  /**
   * Records from `first` on follow. What was kept of the tree below `known` may be used; `finish`
   * says whether that was right, and where it was not the tree is begun anew without.
   */
  begin(known: { size: number; root: Buffer } | undefined, first: number): void;
  /** The hash of the next record, as hex. Also of each durable one afterwards. */
  add(leaf: string): void;
  finish(): Promise<boolean>;
  rootAt(size: number): Promise<Buffer>;
}

/** A key of the log, and the record that made it known: `key.created` or `key.rotated`. */
export type EpochKey = {
  epoch: number;
  vkey: string;
  seq: number;
  /** The last note that the key signed, once it is destroyed (`key.destroyed`). */
  final?: string | undefined;
};

/**
 * What somebody else holds against this log: states of its tree, signed by a signer that signs only
 * what continues the one before.
 */
export interface Checkpoints {
  /** The newest signed one, cosignatures included; undefined before the first. */
  readonly newest: SignedCheckpoint | undefined;
  /**
   * Resolves once at least `size` records (all that are durable now, if left out) are signed and
   * the note is durable. Calls share a signature. Rejects with `audit.unsigned` where the signer
   * does not answer.
   */
  sign(size?: number): Promise<SignedCheckpoint>;
  readonly tree: Pick<LogTree, 'rootAt' | 'inclusion' | 'consistency'>;
  /** Each new signed checkpoint from now on, in order. Returns the way to stop listening. */
  onSigned(listener: (checkpoint: SignedCheckpoint) => void): () => void;
  /** Adds signature lines of others to the note of that size; durable. Known ones are left out. */
  addSignatures(size: number, lines: readonly NoteSignature[]): Promise<void>;
  /** In order of their epochs. */
  readonly keys: readonly EpochKey[];
  /** The key that witnesses are told to know this log by: `witness_vkey` of the signer. */
  readonly witnessKey?: string | undefined;
  /** Ends the epoch: a new key, on record and signed for by the old one, which is destroyed. */
  rotate(actor?: Actor): Promise<void>;
}
