import { z } from 'zod';

/** How the oldest part of the log is let go, and what keeps it. */
const Count = z.number().int().min(0);
const instant = z.iso.datetime();
const name = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,63}$/,
    'a name of letters, digits, ".", "_" and "-", such as case-42',
  );
const reason = z.string().min(1).max(512);

export const PruneLog = z.strictObject({
  dryRun: z.boolean().default(false),
  /** Only what is older than so many days goes: `audit.keep_days`, or more than that. */
  keepDays: z.number().int().min(1).max(36_500).optional(),
});

export const stopReasons = [
  'young',
  'open_segment',
  'needed',
  'hold',
  'unsigned',
  'too_many_runs',
] as const;

export const LogPruneAnswer = z.strictObject({
  dryRun: z.boolean(),
  keepDays: Count,
  /** Records `from` up to, not including, `to` went, or would: none where they are the same. */
  from: Count,
  to: Count,
  segments: Count,
  bytes: Count,
  /** What keeps the next one, and the record that stays because of it. */
  stop: z.strictObject({ why: z.enum(stopReasons), seq: Count, detail: z.string() }).optional(),
});
export type LogPruneAnswer = z.infer<typeof LogPruneAnswer>;

/** Nothing of it is pruned: of the whole log, or of what was recorded in a time, both inclusive. */
export const SetHold = z.strictObject({
  name,
  reason,
  since: instant.optional(),
  until: instant.optional(),
});
export const ClearHold = z.strictObject({ name, reason });

export const HoldRow = z.strictObject({
  name: z.string(),
  reason: z.string(),
  since: z.string().optional(),
  until: z.string().optional(),
  at: z.string(),
  by: z.string(),
});
export const HoldList = z.strictObject({ items: z.array(HoldRow) });
export type HoldRow = z.infer<typeof HoldRow>;

/** Evidence of a time, UTC, both inclusive. */
export const EvidenceQuery = z.object({ from: instant, to: instant });
