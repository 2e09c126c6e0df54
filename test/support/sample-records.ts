import { hash } from 'node:crypto';
import { z } from 'zod';
import { recordTypes, type LogRecord, type RecordType } from '#contract/records.ts';

type Schema = {
  type?: string;
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  pattern?: string;
  minimum?: number;
  maxLength?: number;
  minItems?: number;
  required?: string[];
  properties?: Record<string, Schema>;
  items?: Schema;
};

/** One record of each type that there is, with data that fits its schema; `full` has all of it. */
export function sampleRecords({ full, words = 'word' }: { full: boolean; words?: string }) {
  return (Object.keys(recordTypes) as RecordType[]).map((type, seq) => {
    const { stages, data } = recordTypes[type];
    const schema = z.toJSONSchema(data, { io: 'input', unrepresentable: 'any' }) as Schema;
    const record = {
      actor: full
        ? { auth: 'peer', gid: 1000, kind: 'user', name: words.slice(0, 64), pid: 77, uid: 1000 }
        : { auth: 'self', kind: 'daemon' },
      boot: 'boot-1',
      data: data.parse(sample(schema, { full, words })),
      mono: 1,
      ...(full ? { obj: { container: 'c'.repeat(64), task: words } } : {}),
      outcome: 'ok',
      ...(full ? { pol: { hash: `sha256:${'d'.repeat(64)}`, rule: words } } : {}),
      prev: '0'.repeat(64),
      ...(full || stages === 'act' ? { req: 'r-1' } : {}),
      ...(full ? { rprev: '0'.repeat(64), rseq: 1, run: 'r-0123456789' } : {}),
      seq,
      sev: full ? 'alert' : 'info',
      stage: stages === 'act' ? 'intent' : 'note',
      ts: '2026-01-02T03:04:05.678Z',
      type,
      v: 1,
    } as unknown as LogRecord;
    return exportable(record);
  });
}

/** As the log hands it out. */
export function exportable(record: LogRecord) {
  const line = JSON.stringify(record);
  return { record, line, hash: hash('sha256', `\0${line}`, 'hex') };
}

function sample(schema: Schema, how: { full: boolean; words: string }): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return sample(schema.anyOf[0] ?? {}, how);
  if (schema.type === 'object') {
    const names = Object.entries(schema.properties ?? {}).filter(
      ([name]) => how.full || schema.required?.includes(name),
    );
    return Object.fromEntries(names.map(([name, inner]) => [name, sample(inner, how)]));
  }
  if (schema.type === 'array') {
    const items = how.full ? Math.max(1, schema.minItems ?? 0) : (schema.minItems ?? 0);
    return Array.from({ length: items }, () => sample(schema.items ?? {}, how));
  }
  if (schema.type === 'integer' || schema.type === 'number')
    return Math.max(1, schema.minimum ?? 0);
  if (schema.type === 'boolean') return true;
  if (schema.pattern !== undefined) {
    const pattern = new RegExp(schema.pattern, 'u');
    const fits = patterned.find(
      (text) => pattern.test(text) && text.length <= (schema.maxLength ?? Infinity),
    );
    if (fits === undefined) throw new Error(`no sample fits ${schema.pattern}`);
    return fits;
  }
  return how.words.slice(0, schema.maxLength ?? 1000);
}

const patterned = [
  `sha256:${'a'.repeat(64)}`,
  'a'.repeat(64),
  'r-0123456789',
  'r-01234567',
  'NPM_TOKEN',
  'word',
  '2026-01-02T03:04:05.678Z',
  'a'.repeat(32),
  `s-${'a'.repeat(16)}`,
  'subj_0123456789abcdef',
];
