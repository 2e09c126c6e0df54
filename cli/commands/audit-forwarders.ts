import { formatDuration } from '#contract/units.ts';
import type { Command } from '../context.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

/** Where records go on their own, and how far each of those has come. */
export const auditForwarders: Command = async ({ print, client }) => {
  const { items } = await (await client()).call('auditForwarders');
  if (print.json) {
    print.object({ items });
    return 0;
  }
  if (items.length === 0) {
    print.note('none: the configuration of orchestrad names them under forward');
    return 0;
  }
  const rows = items.map((each) => [
    each.name,
    each.state,
    `${each.lag}`,
    each.lag === 0 ? '-' : formatDuration(each.lag_ms),
    `#${each.next_seq}`,
    each.format,
    each.to,
  ]);
  rows.unshift(['NAME', 'STATE', 'WAITING', 'OLDEST', 'NEXT', 'FORMAT', 'TO']);
  for (const line of table(rows)) print.line(line);
  for (const { name, error } of items) {
    if (error !== undefined) print.line(`${safe(name)}: ${safe(error)}`);
  }
  return 0;
};
