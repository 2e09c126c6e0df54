import { OrchestraError } from '#contract/errors.ts';
import type { HoldRow } from '#contract/retention.ts';
import type { Command, Context, Options } from '../context.ts';
import { textOption } from '../options.ts';
import { table } from '../terminal/text.ts';

export const auditHoldList: Command = async (context) => {
  const client = await context.client();
  show(context, await client.call('auditHolds'));
  return 0;
};

export const auditHoldSet: Command = async (context, [name = ''], options) => {
  const since = instant(options, 'since');
  const until = instant(options, 'until');
  const body = {
    name,
    reason: reasonOf(options),
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  };
  const client = await context.client();
  show(context, await client.call('auditHoldSet', { body }));
  return 0;
};

export const auditHoldClear: Command = async (context, [name = ''], options) => {
  const client = await context.client();
  show(context, await client.call('auditHoldClear', { body: { name, reason: reasonOf(options) } }));
  return 0;
};

function reasonOf(options: Options): string {
  const reason = textOption(options, 'reason');
  if (reason !== undefined) return reason;
  throw new OrchestraError('usage.invalid', 'Say why: --reason TEXT', {
    hint: 'it is on record for whoever asks later',
  });
}

/** A date or a time; a date alone is the beginning of that day, or its end. UTC. */
function instant(options: Options, key: 'since' | 'until'): string | undefined {
  const text = textOption(options, key);
  if (text === undefined) return undefined;
  const isDay = /^\d{4}-\d\d-\d\d$/.test(text);
  const at = Date.parse(isDay && key === 'until' ? `${text}T23:59:59.999Z` : text);
  if (Number.isNaN(at)) {
    throw new OrchestraError('usage.invalid', `--${key} is no date: write 2026-11-22`);
  }
  return new Date(at).toISOString();
}

function show({ print }: Context, { items }: { items: HoldRow[] }): void {
  if (print.json) {
    print.object({ items });
    return;
  }
  if (items.length === 0) print.line('no holds');
  const rows = items.map(({ name, since, until, at, by, reason }) => {
    const scope =
      since === undefined && until === undefined
        ? 'the whole log'
        : `${since ?? 'the beginning'} to ${until ?? 'now and later'}`;
    return [name, scope, `set ${at.slice(0, 10)} by ${by}`, reason];
  });
  for (const line of table(rows)) print.line(line);
}
