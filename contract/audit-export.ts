import { z } from 'zod';
import { AuditFollow } from './audit.ts';

/** How records can leave: exact lines, a sheet, and what collectors of other makers read. */
export const exportFormats = ['jsonl', 'csv', 'syslog', 'cef', 'ocsf'] as const;
export type ExportFormat = (typeof exportFormats)[number];

const Count = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Which records leave: the filter of every other call. */
export const ExportFilter = z.strictObject(AuditFollow.omit({ from: true }).shape);
export type ExportFilter = z.infer<typeof ExportFilter>;

/** The number that IANA gave an enterprise, for the structured data of RFC 5424. */
export const EnterpriseNumber = z.coerce.number().int().min(1).max(4_294_967_295);

export const AuditExportQuery = ExportFilter.extend({
  format: z.enum(exportFormats).default('jsonl'),
  /** From this sequence number on. */
  from: Count.optional(),
  /** Up to, not including, this sequence number. */
  to: Count.optional(),
  enterprise: EnterpriseNumber.optional(),
});
export type AuditExportQuery = z.infer<typeof AuditExportQuery>;

/** The first line of an export as JSONL; the lines after it are those of the log, byte for byte. */
export const ExportManifest = z.strictObject({
  orchestra_export: z.literal(1),
  origin: z.string(),
  version: z.string(),
  time: z.string(),
  query: z.record(z.string(), z.union([z.string(), z.number()])),
  from_seq: z.number().int(),
  to_seq: z.number().int(),
  records: z.number().int(),
  tree_size: z.number().int(),
  /** Base64 of the tree's root at that size, where it is known. */
  root: z.string().optional(),
});
export type ExportManifest = z.infer<typeof ExportManifest>;

/** The last line; `sha256` is that of all lines between, each with its line feed. */
export const ExportTrailer = z.strictObject({
  orchestra_export_end: z.literal(1),
  records: z.number().int(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type ExportTrailer = z.infer<typeof ExportTrailer>;

export const forwarderStates = ['current', 'behind', 'failing', 'stalled', 'broken'] as const;

/** Where a forwarder stands. */
export const ForwarderStatus = z.strictObject({
  name: z.string(),
  to: z.string(),
  format: z.string(),
  state: z.enum(forwarderStates),
  /** The first record that the receiver may not have. */
  next_seq: z.number().int(),
  /** Records between it and the end of the log. */
  lag: z.number().int(),
  /** How old the oldest of them is. */
  lag_ms: z.number().int(),
  /** Records handed over since the daemon started. */
  sent: z.number().int(),
  failing_ms: z.number().int().optional(),
  error: z.string().optional(),
});
export type ForwarderStatus = z.infer<typeof ForwarderStatus>;
