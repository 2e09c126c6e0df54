import type { Severity } from '#contract/records.ts';
import type { About, Exportable, Format } from './format.ts';
import { syslogHeader } from './syslog.ts';
import { quietJson, visible } from './visible.ts';

/** ArcSight's Common Event Format, version 0. */
export const cef: Format = {
  contentType: 'text/plain; charset=utf-8',
  lineEnd: '\n',
  record: (line, about) => spell(line, about),
};

/** As collectors expect it on a syslog port. */
export const cefOverSyslog: Format = {
  ...cef,
  record: (line, about) => `${syslogHeader(line.record, about)} - ${spell(line, about)}`,
};

const text = (value: string | undefined) => value && visible(value);
const severity: Readonly<Record<Severity, number>> = { info: 2, notice: 4, warn: 6, alert: 9 };

function spell({ record, hash }: Exportable, about: About): string {
  const { actor, type, obj, pol } = record;
  const head = ['Orchestra', 'orchestra', about.version, type, type, `${severity[record.sev]}`];
  const fields: Readonly<Record<string, string | number | undefined>> = {
    rt: Date.parse(record.ts),
    externalId: record.seq,
    dvchost: text(about.host),
    dvcpid: actor.kind === 'daemon' ? actor.pid : undefined,
    suser: text(actor.name) ?? (actor.uid === undefined ? actor.kind : undefined),
    suid: actor.uid,
    spid: actor.kind === 'daemon' ? undefined : actor.pid,
    outcome: record.outcome,
    act: record.stage,
    cat: text(type.split('.')[0]),
    ...custom({
      run: text(record.run),
      hash,
      req: text(record.req),
      rule: text(pol?.rule),
      object: obj && quietJson(JSON.stringify(obj)),
      data: quietJson(JSON.stringify(record.data)),
    }),
    ...(record.rseq === undefined ? {} : { cn1: record.rseq, cn1Label: 'rseq' }),
  };
  const said = Object.entries(fields).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${extension(value)}`],
  );
  return `CEF:0|${head.map(header).join('|')}|${said.join(' ')}`;
}

/** `cs1`, `cs2` and so on, always the same field in the same place. */
function custom(named: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [i, [label, value]] of Object.entries(named).entries()) {
    if (value === undefined) continue;
    found[`cs${i + 1}`] = value;
    found[`cs${i + 1}Label`] = label;
  }
  return found;
}

function header(text: string): string {
  return visible(text).replace(/[\\|]/g, '\\$&');
}

function extension(value: string | number): string {
  return `${value}`.replace(/[\\=]/g, '\\$&');
}
