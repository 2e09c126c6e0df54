import { OrchestraError } from '#contract/errors.ts';
import { recordTypes, type AnyRecord, type RecordType } from '#contract/records.ts';
import { whyNotCanonical } from '#verifier/canonical.ts';
import { whyNotRecord } from '#verifier/envelope.ts';
import { zeroHash } from '#verifier/limits.ts';
import type { Entry } from './types.ts';

/** Half of what a reader accepts, so that no future field can push a line past the reader's limit. */
const lineBytesMax = 32_768;
/** Digits that numbers and hashes may still gain once the record gets its place. */
const slackBytes = 128;
const depthMax = 16;

/** A checked record whose number, chain and times are still to be filled in. */
export type Draft = { record: Writable<AnyRecord>; bytes: number };

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Checks an entry and gives it the shape of its line: keys in ascending order, strings well-formed,
 * absent values dropped. Whatever does not fit is a bug of the caller, and nothing was written.
 */
export function draftOf(entry: Entry): Draft {
  const { type } = entry;
  if (!Object.hasOwn(recordTypes, type)) throw bug(type, 'there is no such type');
  const row = recordTypes[type];
  const stage = entry.stage ?? 'note';
  if ((row.stages === 'act') !== (stage !== 'note')) {
    throw bug(type, row.stages === 'act' ? 'an act is an intent or a result' : 'it has no stages');
  }
  if (row.stages === 'act' && entry.req === undefined) throw bug(type, 'an act carries a req');
  if (type === 'run.closed' && entry.run === undefined) throw bug(type, 'it names no run');

  // In ascending order of keys; a placeholder keeps the place of what is filled in later.
  const record: Record<string, unknown> = {};
  record['actor'] = tidy(entry.actor ?? { auth: 'self', kind: 'daemon' }, 0);
  record['boot'] = '';
  record['data'] = dataOf(type, entry.data);
  record['mono'] = 0;
  if (entry.obj !== undefined) record['obj'] = tidy(entry.obj, 0);
  record['outcome'] = entry.outcome ?? 'ok';
  if (entry.pol !== undefined) record['pol'] = tidy(entry.pol, 0);
  record['prev'] = zeroHash;
  if (entry.req !== undefined) record['req'] = entry.req.toWellFormed();
  if (entry.run !== undefined) {
    record['rprev'] = zeroHash;
    record['rseq'] = 0;
    record['run'] = entry.run;
  }
  record['seq'] = 0;
  record['sev'] = entry.sev ?? 'info';
  record['stage'] = stage;
  record['ts'] = '1970-01-01T00:00:00.000Z';
  record['type'] = type;
  record['v'] = 1;

  const why = whyNotCanonical(record) ?? whyNotRecord(record);
  if (why !== undefined) throw bug(type, why);
  const bytes = Buffer.byteLength(JSON.stringify(record)) + slackBytes;
  if (bytes > lineBytesMax) throw bug(type, `the line would have more than ${lineBytesMax} bytes`);
  return { record: record as AnyRecord, bytes };
}

function dataOf(type: RecordType, data: unknown): unknown {
  const counted = type === 'run.closed' ? { ...(data as object), records: 0 } : data;
  const tidied = tidy(counted, 0);
  const parsed = recordTypes[type].data.safeParse(tidied);
  if (parsed.success) return tidied;
  const [issue] = parsed.error.issues;
  throw bug(type, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not valid'}`);
}

/**
 * A copy of plain data in the order of the line. Built with keys in one order, so that records of
 * one type share their hidden class: they are spelled and read ten thousand times a run.
 */
function tidy(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.toWellFormed();
  if (value === 0) return 0;
  if (typeof value !== 'object' || value === null || depth >= depthMax) return value;
  if (Array.isArray(value)) return value.map((item) => tidy(item, depth + 1));
  const sorted: Record<string, unknown> = {};
  for (const key of keysInOrder(value)) {
    const inner = (value as Record<string, unknown>)[key];
    if (inner === undefined) continue;
    // An assignment to it would be none; no other key can hide like this.
    if (key === '__proto__') throw new OrchestraError('internal.bug', 'a key is __proto__');
    sorted[key] = tidy(inner, depth + 1);
  }
  return sorted;
}

function keysInOrder(value: object): string[] {
  const keys = Object.keys(value);
  for (let i = 1; i < keys.length; i += 1) {
    if ((keys[i - 1] ?? '') > (keys[i] ?? '')) return keys.sort();
  }
  return keys;
}

function bug(type: string, why: string): OrchestraError {
  return new OrchestraError('internal.bug', `A record of type ${type} does not fit: ${why}`);
}
