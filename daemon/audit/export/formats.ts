import type { ExportFormat } from '#contract/audit-export.ts';
import { cef } from './cef.ts';
import { csv } from './csv.ts';
import type { Format } from './format.ts';
import { jsonl } from './jsonl.ts';
import { ocsf } from './ocsf.ts';
import { syslog } from './syslog.ts';

export const formats: Readonly<Record<ExportFormat, Format>> = { jsonl, csv, syslog, cef, ocsf };
