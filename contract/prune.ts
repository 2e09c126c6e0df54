import { z } from 'zod';
import { RunId } from './ids.ts';

/** What the store consists of, in the order in which it is removed: names before content. */
export const prunedKinds = ['flat', 'snapshots', 'layers', 'blobs', 'packages'] as const;
export type PrunedKind = (typeof prunedKinds)[number];

/** Why a run is no longer kept. */
export const pruneReasons = ['rule', 'budget'] as const;
export type PruneReason = (typeof pruneReasons)[number];

const Count = z.number().int().min(0);

/** Naming one of the two rules switches the other off; naming none, the settings apply. */
export const PruneStore = z.strictObject({
  dryRun: z.boolean().default(false),
  /** Runs used within so many days are kept. */
  keepDays: z.number().int().min(0).max(36_500).optional(),
  /** The last so many runs are kept. */
  keepRuns: z.number().int().min(0).max(1_000_000).optional(),
});
export type PruneStore = z.infer<typeof PruneStore>;

export const PruneAnswer = z.strictObject({
  dryRun: z.boolean(),
  /** Runs whose content is kept, and how many are no longer; of those the first thousand by id. */
  kept: Count,
  dropped: Count,
  runs: z.array(z.strictObject({ id: RunId, why: z.enum(pruneReasons) })),
  removed: z.array(z.strictObject({ what: z.enum(prunedKinds), entries: Count, bytes: Count })),
  /** What the disk gets back. */
  bytes: Count,
});
export type PruneAnswer = z.infer<typeof PruneAnswer>;
