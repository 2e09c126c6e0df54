import type { AuditRow } from '#contract/audit.ts';
import type { LogRecord } from '#contract/records.ts';
import type { Command, Context } from '../context.ts';
import { choiceOption, countOption, flagOption, parseCount, textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';

const outcomes = ['ok', 'denied', 'failed', 'unknown'] as const;

export const auditList: Command = async (context, _args, options) => {
  const { print } = context;
  const client = await context.client();
  const page = await client.call('auditList', {
    query: {
      limit: countOption(options, 'limit', { min: 1, max: 500 }) ?? 50,
      cursor: countOption(options, 'from', { min: 0, max: Number.MAX_SAFE_INTEGER }),
      run: textOption(options, 'run'),
      type: textOption(options, 'type'),
      outcome: choiceOption(options, 'outcome', outcomes),
    },
  });
  if (print.json) {
    print.object(page);
    return 0;
  }
  for (const row of page.items) print.line(lineOf(context, row.record));
  if (page.next_cursor !== undefined) print.note(`there are more: --from ${page.next_cursor}`);
  return 0;
};

export const auditTail: Command = async (context, _args, options) => {
  const { print } = context;
  const client = await context.client();
  const last = countOption(options, 'limit', { min: 1, max: 500 }) ?? 20;
  const page = await client.call('auditList', { query: { last } });
  const show = (row: AuditRow | { record: LogRecord }) =>
    print.json ? print.object(row) : print.line(lineOf(context, row.record));
  for (const row of page.items) show(row);
  if (!flagOption(options, 'follow')) return 0;
  const stopped = new AbortController();
  let code = 130;
  using _taken = context.interrupts.take((signal) => {
    code = signal === 'SIGINT' ? 130 : 143;
    stopped.abort();
  });
  const from = (page.items.at(-1)?.record.seq ?? -1) + 1;
  for await (const record of client.events('auditFollow', {
    query: { from },
    signal: stopped.signal,
  })) {
    show({ record });
  }
  return code;
};

export const auditShow: Command = async (context, [text = '']) => {
  const seq = parseCount(text.replace(/^#/, ''), 'SEQ', { min: 0, max: Number.MAX_SAFE_INTEGER });
  const client = await context.client();
  const row = await client.call('auditShow', { params: { seq: String(seq) } });
  if (context.print.json) {
    context.print.object(row);
    return 0;
  }
  context.print.line(`#${row.record.seq}  ${row.hash}`);
  for (const line of JSON.stringify(row.record, null, 2).split('\n')) {
    context.print.line(safe(line));
  }
  return 0;
};

function lineOf({ print }: Context, record: LogRecord): string {
  const who =
    record.actor.name ??
    (record.actor.uid === undefined ? record.actor.kind : `uid:${record.actor.uid}`);
  const object = Object.entries(record.obj ?? {}).map(([key, value]) => `${key}=${value}`);
  const stage = record.stage === 'note' ? '' : ` ${record.stage}`;
  const outcome = record.outcome === 'ok' ? '' : ` ${print.out.red(record.outcome)}`;
  const parts = [record.run ?? '', ...object].filter((part) => part !== '').map(safe);
  const type = print.out.bold(safe(record.type));
  return `#${record.seq}  ${record.ts}  ${type}${stage}${outcome}  ${safe(who)}  ${parts.join(' ')}`.trimEnd();
}
