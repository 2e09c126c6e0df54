import { z } from 'zod';

const Count = z.number().int().min(0);
const Hashes = z.array(z.string().max(64)).max(64);
const Note = z.string().max(64 * 1024);

/**
 * How a key of the log was made known: the line of its record, the proof that it is in the tree of
 * `checkpoint`, and the proof that the newest checkpoint continues that one. For the first key
 * `checkpoint` is the newest itself, for each later one what the key before it signed last.
 */
export const EpochRow = z.strictObject({
  epoch: Count,
  seq: Count,
  line: z.string().max(64 * 1024),
  proof: Hashes,
  checkpoint: Note,
  consistency: Hashes,
});
export type EpochRow = z.infer<typeof EpochRow>;

export const CheckpointQuery = z.object({
  /** A size of which the caller knows the root: the answer proves that it continues that one. */
  from: z.coerce.number().int().min(0).optional(),
  /** The newest epoch of which the caller knows the key. */
  epoch: z.coerce.number().int().min(0).optional(),
});

export const CheckpointAnswer = z.strictObject({
  /** A signed note: C2SP tlog-checkpoint. */
  checkpoint: Note,
  /** Absent where `from` was not given, or is above what was signed. */
  consistency: z.strictObject({ from: Count, proof: Hashes }).optional(),
  keys: z.array(z.strictObject({ epoch: Count, vkey: z.string(), seq: Count })),
  /** Of the epochs that the caller does not know. */
  epochs: z.array(EpochRow),
});
export type CheckpointAnswer = z.infer<typeof CheckpointAnswer>;

/** Who signs the log now and who did, to be kept where the log cannot be reached from. */
export const KeysAnswer = z.strictObject({
  origin: z.string(),
  keys: z.array(
    z.strictObject({
      epoch: Count,
      vkey: z.string(),
      seq: Count,
      /** The last note that it signed: it is destroyed. */
      final: Note.optional(),
    }),
  ),
  /** What witnesses are configured with; it stays when an epoch ends. */
  witness_key: z.string().optional(),
});
export type KeysAnswer = z.infer<typeof KeysAnswer>;
