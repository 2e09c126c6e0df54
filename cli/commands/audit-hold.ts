import { OrchestraError } from '#contract/errors.ts';
import type { HoldRow } from '#contract/retention.ts';
import { timeOption } from '../audit/filter.ts';
import type { Command, Context, Options } from '../context.ts';
import { textOption } from '../options.ts';
import { table } from '../terminal/text.ts';

export const auditHoldList: Command = async (context) => {
  const client = await context.client();
  show(context, await client.call('auditHolds'));
  return 0;
};

export const auditHoldSet: Command = async (context, [name = ''], options) => {
  const now = Date.now();
  const since = timeOption(options, 'since', now);
  const until = timeOption(options, 'until', now);
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
