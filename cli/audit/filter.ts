import { outcomes, severities } from '#contract/audit.ts';
import { OrchestraError } from '#contract/errors.ts';
import { parseDuration } from '#contract/units.ts';
import type { Options } from '../context.ts';
import { choiceOption, textOption } from '../options.ts';

/** What the flags of `audit list` and `audit tail` ask for, as the daemon wants to hear it. */
export function filterOf(options: Options, now: number): Record<string, string | undefined> {
  return {
    run: textOption(options, 'run'),
    type: typeOption(options),
    actor: textOption(options, 'actor'),
    outcome: choiceOption(options, 'outcome', outcomes),
    sev: choiceOption(options, 'severity', severities),
    since: timeOption(options, 'since', now),
    until: timeOption(options, 'until', now),
    text: textOption(options, 'text'),
  };
}

/**
 * A moment as RFC 3339 in UTC: `2h` ago, a day in UTC (its first moment for `since`, its last for
 * `until`), or a time with its zone.
 */
export function timeOption(
  options: Options,
  name: 'since' | 'until',
  now: number,
): string | undefined {
  const said = textOption(options, name);
  if (said === undefined) return undefined;
  const ago = parseDuration(said);
  if (ago !== undefined && ago <= now) return new Date(now - ago).toISOString();
  const ms = dayPattern.test(said)
    ? Date.parse(`${said}T${name === 'since' ? '00:00:00.000' : '23:59:59.999'}Z`)
    : timePattern.test(said)
      ? Date.parse(said.toUpperCase())
      : Number.NaN;
  // `2026-02-31` would become another day.
  if (!Number.isNaN(ms) && isSameDay(said, ms)) return new Date(ms).toISOString();
  throw new OrchestraError('usage.invalid', `--${name} is not understood`, {
    hint: 'write 2h or 3d (ago), 2026-11-20 (a day in UTC) or 2026-11-20T10:00:00Z',
  });
}

/** The same as a day in UTC, for what is only counted by the day. */
export function dayOption(
  options: Options,
  name: 'since' | 'until',
  now: number,
): string | undefined {
  return timeOption(options, name, now)?.slice(0, 10);
}

const dayPattern = /^\d{4}-\d\d-\d\d$/;
const timePattern = /^\d{4}-\d\d-\d\d[tT]\d\d:\d\d:\d\d(\.\d{1,9})?([zZ]|[+-]\d\d:\d\d)$/;

function isSameDay(said: string, ms: number): boolean {
  const day = Number(said.slice(8, 10));
  const [, sign, hours = '0', minutes = '0'] = /([+-])(\d\d):(\d\d)$/.exec(said) ?? [];
  const offset = sign === undefined ? 0 : (Number(hours) * 60 + Number(minutes)) * 60_000;
  return new Date(ms + (sign === '-' ? -offset : offset)).getUTCDate() === day;
}

function typeOption(options: Options): string | undefined {
  const type = textOption(options, 'type');
  if (type === undefined || /^[a-z0-9_.]{1,62}(\.\*)?$/.test(type)) return type;
  throw new OrchestraError('usage.invalid', '--type is no type of record', {
    hint: 'write one such as task.finished, or all beneath a word: container.*',
  });
}
