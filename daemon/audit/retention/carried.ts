import type { AnyRecord, RecordData } from '#contract/records.ts';

type Told = { type: string; data: Readonly<Record<string, unknown>> };

/**
 * The record that a `log.carried` says again, with the number and all that it had; undefined where
 * the record is no such one, or where whoever folds the log has seen the original: `from` on.
 */
export function carriedBy(record: Told, from: number): AnyRecord | undefined {
  if (record.type !== 'log.carried') return undefined;
  const { of, line } = record.data as RecordData<'log.carried'>;
  return of < from ? (JSON.parse(line) as AnyRecord) : undefined;
}
