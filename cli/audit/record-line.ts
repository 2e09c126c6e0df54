import { hash } from 'node:crypto';
import type { LogRecord } from '#contract/records.ts';
import { safe } from '../terminal/clean.ts';
import type { Styles } from '../terminal/print.ts';
import { whoOf } from '../who.ts';

/** A record on one line. Whatever it holds, nothing of it steers the terminal or takes a second line. */
export function recordLine(record: LogRecord, styles: Styles): string {
  const { actor, outcome, sev, stage } = record;
  const object = Object.entries(record.obj ?? {}).map(([key, value]) => `${key}=${value}`);
  const words = [
    styles.bold(safe(record.type)),
    ...(stage === 'note' ? [] : [safe(stage)]),
    ...(outcome === 'ok' ? [] : [styles.red(safe(outcome))]),
    ...(sev === 'warn' || sev === 'alert' ? [styles.red(safe(sev))] : []),
  ];
  const about = [record.run ?? '', ...object].filter((part) => part !== '').map(safe);
  const line = [
    `#${record.seq}`,
    safe(record.ts),
    words.join(' '),
    safe(whoOf(actor)),
    about.join(' '),
  ];
  return line.join('  ').trimEnd();
}

/**
 * The line of the log that a record came from: its canonical form is the only one that a log may
 * hold. `leafOf` tells whether it is the very line.
 */
export function exactLine(record: LogRecord): string {
  return JSON.stringify(inOrder(record));
}

/** The hash that the log has of a line: RFC 6962, leaf. */
export function leafOf(line: string): string {
  return hash('sha256', `\0${line}`, 'hex');
}

function inOrder(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(inOrder);
  // Keys of the log begin with a letter, so their order is that of their making.
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, inOrder(inner)]),
  );
}
