import type { ExportManifest, ExportTrailer } from '#contract/audit-export.ts';
import type { LogLine } from '../types.ts';

/** What a format may say of where a record comes from. */
export type About = {
  origin: string;
  /** The machine, as it calls itself. */
  host: string;
  version: string;
  /** Without a number of one's own RFC 5424 leaves no room for fields of one's own. */
  enterprise?: number | undefined;
};

export type Exportable = Pick<LogLine, 'record' | 'line' | 'hash'>;

/**
 * Spells records for somebody else. Pure: the same record is the same text, whatever came before.
 * A record is one line without its line feed, and no text in it can make it two.
 */
export interface Format {
  readonly contentType: string;
  readonly lineEnd: '\n' | '\r\n';
  head?(manifest: ExportManifest): string;
  record(line: Exportable, about: About): string;
  tail?(trailer: ExportTrailer): string;
}
