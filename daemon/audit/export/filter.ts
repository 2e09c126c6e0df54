import type { ExportFilter } from '#contract/audit-export.ts';
import { isEverything, matches } from '../reading/filter.ts';
import type { Exportable } from './format.ts';

/** The filter as one question; undefined where every record fits. */
export function matcher(filter: ExportFilter): ((line: Exportable) => boolean) | undefined {
  const { since, until, ...rest } = filter;
  const asked = {
    ...rest,
    since: since === undefined ? undefined : Date.parse(since),
    until: until === undefined ? undefined : Date.parse(until),
  };
  return isEverything(asked) ? undefined : (line) => matches(line, asked);
}
