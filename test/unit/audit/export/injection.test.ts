import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ExportFormat } from '#contract/audit-export.ts';
import type { LogRecord } from '#contract/records.ts';
import { cefOverSyslog } from '#daemon/audit/export/cef.ts';
import { formats } from '#daemon/audit/export/formats.ts';
import { counted } from '#daemon/audit/export/syslog.ts';
import { parseCef, parseCsv, parseSyslog, uncount } from '#test/support/collectors.ts';
import { exportable, sampleRecords } from '#test/support/sample-records.ts';

const about = { origin: 'box/orchestra/1', host: 'box', version: '0.1.0', enterprise: 64_000 };
const template = sampleRecords({ full: true }).find(({ record }) => record.type === 'task.skipped');

/** A record in which a stranger chose every text that a stranger can choose. */
function recordOf(words: string): LogRecord {
  const said = words.toWellFormed();
  const { record } = template ?? expect.fail();
  return {
    ...record,
    actor: { ...record.actor, name: said },
    data: { reason: said },
    obj: { task: said },
    pol: { hash: 'h', rule: said },
    req: said,
  };
}

const corpus = [
  "'=1+1",
  'two\nlines\r\nand three',
  '<13>1 2026-01-01T00:00:00Z evil app - - - forged',
  '\u001b[2J\u001b]0;title\u0007 and \u009b31m',
  'right \u202e to left \u2066 and \u200b nothing \ufeff',
  '=cmd|\u0027/C calc\u0027!A0',
  '=HYPERLINK("http://x","y")',
  '+1+1',
  '-1',
  '@SUM(A1)',
  ' \t=1+1',
  '\uff1d1',
  '"quoted", with "" and , inside',
  'a"] [evil@1 x="y"] b',
  'trailing backslash \\',
  '\\n is no line feed, \\u0000 no NUL',
  'a|b|c=d e=f \\= \\|',
  ' outcome=ok cs1=forged',
  'NUL \u0000 here',
  'half \ud800 of one, \udc00 other',
  'line\u2028separator\u2029and\u0085next',
  '{"=json": "\n"}',
  '{\n=cmd()',
  "'already quoted",
  '',
  ' ',
  '𝒳 😀 é ‮',
  'x'.repeat(5000),
];
const anyText = fc.oneof(
  fc.constantFrom(...corpus),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc
    .array(fc.constantFrom(...Array.from('="\\|],\n\r\t\u0000\u001b\u202e{} \'@+-1nu0')), {
      maxLength: 30,
    })
    .map((chars) => chars.join('')),
);

/** Undoes `visible`: between quotation marks it is a JSON string. */
function seen(text: string): string {
  return JSON.parse(`"${text.replaceAll('"', '\\"')}"`) as string;
}

describe.each(Object.keys(formats) as ExportFormat[])('%s', (name) => {
  test('whatever a text holds, a record is one line that steers no terminal', () => {
    fc.assert(
      fc.property(anyText, (words) => {
        const line = formats[name].record(exportable(recordOf(words)), about);
        expect(line).not.toMatch(/[\r\n]/);
        // The exact line may hold what JSON does not escape; whoever shows it cleans it.
        if (name !== 'jsonl') expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
      }),
    );
  });
});

test('jsonl: a line is the line of the log, byte for byte', () => {
  for (const words of corpus) {
    const line = exportable(recordOf(words));
    expect(formats.jsonl.record(line, about)).toBe(line.line);
    expect(JSON.parse(line.line)).toEqual(line.record);
  }
});

test('csv: a strict parser reads back every text, and no cell is a formula', () => {
  const names = formats.csv.head?.(undefined as never).split(',') ?? [];
  fc.assert(
    fc.property(anyText, (words) => {
      const record = recordOf(words);
      const rows = parseCsv(`${formats.csv.record(exportable(record), about)}\r\n`);
      expect(rows).toHaveLength(1);
      const cells = Object.fromEntries(names.map((name, i) => [name, rows[0]?.[i] ?? '']));
      expect(rows[0]).toHaveLength(names.length);
      for (const cell of rows[0] ?? []) expect(cell).not.toMatch(/^\s*[=+\-@＝＋－＠|%]/u);
      // The mark that keeps a sheet from counting stands before what would be counted.
      const bare = (cell = '') => (/^'+\s*[=+\-@＝＋－＠|%]/u.test(cell) ? cell.slice(1) : cell);
      expect(seen(bare(cells['actor_name']))).toBe(words.toWellFormed());
      expect(seen(bare(cells['req']))).toBe(words.toWellFormed());
      expect(seen(bare(cells['rule']))).toBe(words.toWellFormed());
      expect(JSON.parse(cells['data'] ?? '')).toEqual(record.data);
      expect(JSON.parse(cells['obj'] ?? '')).toEqual(record.obj);
      expect(cells['verifiable']).toBe('no');
    }),
  );
});

test('syslog: a strict parser reads back every text, and the message is the record', () => {
  fc.assert(
    fc.property(anyText, (words) => {
      const record = recordOf(words);
      const line = exportable(record);
      const text = formats.syslog.record(line, about);
      const found = parseSyslog(text);
      expect(found).toMatchObject({ facility: 13, id: record.type, app: 'orchestra' });
      expect(Object.keys(found.elements)).toEqual(['orchestra@64000', 'origin', 'meta']);
      const own = found.elements['orchestra@64000'] ?? {};
      expect(seen(own['actor'] ?? '')).toBe(words.toWellFormed());
      expect(seen(own['rule'] ?? '')).toBe(words.toWellFormed());
      expect(own['hash']).toBe(line.hash);
      expect(JSON.parse(found.message)).toEqual(record);
      expect(JSON.stringify(JSON.parse(found.message))).toBe(line.line);
      const framed = Buffer.from(counted(text) + counted(text));
      expect(uncount(framed)).toEqual({ messages: [text, text], rest: Buffer.alloc(0) });
    }),
  );
});

test('syslog: without a number of one’s own there is no element of one’s own', () => {
  const line = exportable(recordOf('x'));
  const { elements } = parseSyslog(
    formats.syslog.record(line, { ...about, enterprise: undefined }),
  );
  expect(elements).toEqual({
    origin: { software: 'orchestra', swVersion: '0.1.0' },
    meta: { sequenceId: `${line.record.seq + 1}` },
  });
});

test('syslog: a host or a type that does not fit its field breaks no header', () => {
  const line = exportable({ ...recordOf('x'), type: `a b\n${'c'.repeat(80)}` });
  const found = parseSyslog(formats.syslog.record(line, { ...about, host: 'ein\nHöst <13>1' }));
  expect(found.host).toBe('ein_H_st_<13>1');
  expect(found.id).toBe(`a_b_${'c'.repeat(28)}`);
  expect(parseSyslog(formats.syslog.record(line, { ...about, host: '' })).host).toBe('-');
});

test('cef: a strict parser reads back every text, and none becomes a field', () => {
  fc.assert(
    fc.property(anyText, (words) => {
      const record = recordOf(words);
      const line = exportable(record);
      const { head, fields } = parseCef(formats.cef.record(line, about));
      expect(head).toEqual([
        'CEF:0',
        'Orchestra',
        'orchestra',
        '0.1.0',
        record.type,
        record.type,
        '9',
      ]);
      expect(seen(fields['suser'] ?? '')).toBe(words.toWellFormed());
      expect(seen(fields['cs3'] ?? '')).toBe(words.toWellFormed());
      expect(seen(fields['cs4'] ?? '')).toBe(words.toWellFormed());
      expect(JSON.parse(fields['cs5'] ?? '')).toEqual(record.obj);
      expect(JSON.parse(fields['cs6'] ?? '')).toEqual(record.data);
      expect(fields).toMatchObject({ externalId: `${record.seq}`, cs2: line.hash, outcome: 'ok' });
      const wrapped = parseSyslog(cefOverSyslog.record(line, about));
      expect(parseCef(wrapped.message).head).toEqual(head);
    }),
  );
});

test('cef: a type or version with a bar stays in its field', () => {
  const line = exportable({ ...recordOf('x'), type: 'a|b\\c' });
  const { head } = parseCef(formats.cef.record(line, { ...about, version: '1|2\n3' }));
  expect(head.slice(3, 5)).toEqual(['1|2\\n3', 'a|b\\\\c']);
});

test('ocsf: an event parses to the same texts and is plain ASCII', () => {
  fc.assert(
    fc.property(anyText, (words) => {
      const line = exportable(recordOf(words));
      const text = formats.ocsf.record(line, about);
      expect(text).toMatch(/^[\x20-\x7e]*$/);
      const event = JSON.parse(text) as { raw_data: string; actor: { user: { name: string } } };
      expect(event.raw_data).toBe(line.line);
      expect(event.actor.user.name).toBe(words.toWellFormed());
    }),
  );
});
