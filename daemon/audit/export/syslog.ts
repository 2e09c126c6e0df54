import type { LogRecord, Severity } from '#contract/records.ts';
import type { About, Format } from './format.ts';
import { asciiJson, visible } from './visible.ts';

/**
 * RFC 5424: facility 13 (audit), the type as MSGID, and as the message the line of the log as JSON in
 * ASCII; what it parses to is the record, and spelled again the very line. The registered elements
 * `origin` and `meta` need no number; with one, the fields of the record are an element as well.
 */
export const syslog: Format = {
  contentType: 'text/plain; charset=utf-8',
  lineEnd: '\n',
  record: (line, about) =>
    `${syslogHeader(line.record, about)} ${elements(line.record, line.hash, about)} ${asciiJson(line.line)}`,
};

/** Everything before the structured data. */
export function syslogHeader(
  { sev, ts, type }: Pick<LogRecord, 'sev' | 'ts' | 'type'>,
  { host }: About,
): string {
  const priority = facility * 8 + severity[sev];
  return `<${priority}>1 ${ts} ${printable(host, 255)} orchestra - ${printable(type, 32)}`;
}

/** RFC 6587 and RFC 5425: how many bytes come, then the message. */
export function counted(message: string): string {
  return `${Buffer.byteLength(message)} ${message}`;
}

const facility = 13;
const severity: Readonly<Record<Severity, number>> = { info: 6, notice: 5, warn: 4, alert: 1 };
/** The largest sequenceId; after it RFC 5424 begins again with 1. */
const sequenceMax = 2_147_483_647;

function elements(record: LogRecord, hash: string, about: About): string {
  const { enterprise, version } = about;
  const known =
    element('origin', { software: 'orchestra', swVersion: version.slice(0, 32) }) +
    element('meta', { sequenceId: String((record.seq % sequenceMax) + 1) });
  if (enterprise === undefined) return known;
  const { actor } = record;
  const own = element(`orchestra@${enterprise}`, {
    seq: String(record.seq),
    hash,
    log: about.origin,
    stage: record.stage,
    outcome: record.outcome,
    actor: actor.name ?? (actor.uid === undefined ? actor.kind : `uid:${actor.uid}`),
    run: record.run,
    req: record.req,
    task: record.obj?.['task'],
    container: record.obj?.['container'],
    rule: record.pol?.rule,
  });
  return own + known;
}

function element(id: string, params: Readonly<Record<string, string | undefined>>): string {
  const said = Object.entries(params).flatMap(([name, value]) =>
    value === undefined ? [] : [` ${name}="${visible(value).replace(/["\\\]]/g, '\\$&')}"`],
  );
  return `[${id}${said.join('')}]`;
}

function printable(text: string, max: number): string {
  return text.replace(/[^\x21-\x7e]/g, '_').slice(0, max) || '-';
}
