import { z } from 'zod';

const Size = z.number().int().min(0);

/** One hook or witness: how far what it holds reaches, and how it goes. */
const AnchorTarget = z.strictObject({
  kind: z.enum(['anchor', 'witness']),
  name: z.string(),
  /** How many records are covered by what it confirmed last; 0 before the first time. */
  size: Size,
  /** When it did so, by this daemon's clock. */
  at: z.string().optional(),
  /** `waiting`: the last try failed and another one comes. */
  state: z.enum(['idle', 'sending', 'waiting']),
  failures: Size,
  failure: z.strictObject({ reason: z.string(), detail: z.string() }).optional(),
});
export type AnchorTarget = z.infer<typeof AnchorTarget>;

/** Who outside of this machine holds how much of the log. */
export const AnchoringView = z.strictObject({
  records: Size,
  /** Covered by the newest signed checkpoint. */
  signed: Size,
  /** Held by a hook or by enough witnesses. */
  anchored: Size,
  /** Beyond that, not counting what anchoring and reading themselves record. */
  unanchored: z.strictObject({ records: Size, ageMs: Size }),
  limit: z
    .strictObject({
      records: Size.optional(),
      ageMs: Size.optional(),
      action: z.enum(['warn', 'block']),
      /** Whether it is passed now. */
      passed: z.boolean(),
    })
    .optional(),
  quorum: z.strictObject({ need: Size, of: Size, size: Size }).optional(),
  /** What a witness is configured with to know this log by. */
  witnessKey: z.string().optional(),
  targets: z.array(AnchorTarget),
});
export type AnchoringView = z.infer<typeof AnchoringView>;

export const AnchorNow = z.strictObject({
  /** How long to wait for the answers; what takes longer goes on. */
  waitMs: z.number().int().min(0).max(120_000).default(30_000),
});
