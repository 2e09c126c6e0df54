import { z } from 'zod';
import { LogRecord } from './records.ts';

/** Least important first. */
export const severities = ['info', 'notice', 'warn', 'alert'] as const;
export const outcomes = ['ok', 'denied', 'failed', 'unknown'] as const;

const Count = z.coerce.number().int().min(0);
const instant = z.iso.datetime();

/** What may be asked of the log. Everything that is said has to hold. */
const filter = {
  /** As every other call names a run: an id, the beginning of one, `@last`. */
  run: z.string().min(1).max(64).optional(),
  /** A type, or all beneath one: `container.*`. */
  type: z
    .string()
    .max(64)
    .regex(/^[a-z0-9_.]+(\.\*)?$/, 'a type such as task.finished, or container.*')
    .optional(),
  /** A name, a uid (`1000` or `uid:1000`), or a kind: `user`, `daemon`, `task`. */
  actor: z.string().min(1).max(64).optional(),
  outcome: z.enum(outcomes).optional(),
  /** This and whatever is more important. */
  sev: z.enum(severities).optional(),
  /** UTC times, ISO 8601, both inclusive. */
  since: instant.optional(),
  until: instant.optional(),
  /** Letters that the line holds, as they lie on the disk. */
  text: z.string().min(1).max(256).optional(),
};

export const AuditQuery = z.object({
  ...filter,
  limit: z.coerce.number().int().min(1).max(500).default(50),
  /** The `next_cursor` of the page before. */
  cursor: Count.optional(),
  order: z.enum(['oldest', 'newest']).optional(),
  /** The newest N instead of a page from the oldest on; still answered oldest first. */
  last: z.coerce.number().int().min(1).max(500).optional(),
  /**
   * `segments`: the files themselves are read, and the answer says which of the records the index
   * would not have shown. Slower; the index proves nothing about what it leaves out.
   */
  source: z.enum(['index', 'segments']).optional(),
});

export const AuditFollow = z.object({ ...filter, from: Count.optional() });

export const AuditRow = z.strictObject({ record: LogRecord, hash: z.string() });
export type AuditRow = z.infer<typeof AuditRow>;

export const AuditPage = z.strictObject({
  items: z.array(AuditRow),
  /** There may be more from here on, even where this page is empty: it gave up looking. */
  next_cursor: z.number().int().optional(),
  /** Which numbers this page answers for: `from` up to, not including, `to`. */
  scanned: z.strictObject({ from: z.number().int(), to: z.number().int() }).optional(),
  /** With `source=segments`: numbers of records there that the index hides, and how many. */
  hidden: z.strictObject({ count: z.number().int(), first: z.array(z.number().int()) }).optional(),
});
export type AuditPage = z.infer<typeof AuditPage>;

/** One record, with everything that is needed to check it without asking again. */
export const AuditShown = AuditRow.extend({
  /** The exact line, without its line feed: its leaf hash is `hash`. */
  line: z.string().optional(),
  /** That the record is in the newest checkpoint that covers it; absent while none does. */
  proof: z.strictObject({ hashes: z.array(z.string()).max(64), checkpoint: z.string() }).optional(),
});
export type AuditShown = z.infer<typeof AuditShown>;

/** Days in UTC, `2026-11-22`, both inclusive. */
export const AuditStatsQuery = z.object({
  since: z.iso.date().optional(),
  until: z.iso.date().optional(),
});

const Tally = z.array(
  z.strictObject({
    name: z.string(),
    records: z.number().int(),
    bytes: z.number().int(),
  }),
);

export const AuditStats = z.strictObject({
  origin: z.string(),
  records: z.number().int(),
  bytes: z.number().int(),
  first_at: z.string().optional(),
  last_at: z.string().optional(),
  types: Tally,
  outcomes: Tally,
  severities: Tally,
  actors: Tally,
  days: Tally,
  runs: z.strictObject({
    submitted: z.number().int(),
    closed: z.number().int(),
    open: z.number().int(),
  }),
  /** Hours from the first to the last of them, and those that hold at least one record. */
  hours: z.strictObject({
    all: z.number().int(),
    covered: z.number().int(),
    heartbeats: z.number().int(),
    /** The longest stretch of hours without any record. */
    longest_gap: z.number().int(),
    gap_from: z.string().optional(),
  }),
  /** What the index counts and what the log holds: the same, or the index hides something. */
  size: z.strictObject({ index: z.number().int(), log: z.number().int() }),
});
export type AuditStats = z.infer<typeof AuditStats>;

/** What the caller knows of the log from elsewhere: it vouches for what it covers. */
export const VerifyLog = z.strictObject({
  keys: z.array(z.string().max(1024)).max(16).default([]),
  checkpoints: z
    .array(z.string().max(64 * 1024))
    .max(4)
    .default([]),
});
