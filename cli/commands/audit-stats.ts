import type { AuditStats } from '#contract/audit.ts';
import { exitCodes } from '#contract/errors.ts';
import { formatSize } from '#contract/units.ts';
import { dayOption } from '../audit/filter.ts';
import type { Command } from '../context.ts';
import { table } from '../terminal/text.ts';

const shownMax = 20;

/** What the log holds, in numbers, from the index. An index that counts another number than the log holds ends with 4. */
export const auditStats: Command = async ({ print, client }, _args, options) => {
  const now = Date.now();
  const query = {
    since: dayOption(options, 'since', now),
    until: dayOption(options, 'until', now),
  };
  const stats = await (await client()).call('auditStats', { query });
  const isWhole = stats.size.index === stats.size.log;
  const exit = isWhole ? exitCodes.ok : exitCodes.violation;
  if (print.json) {
    print.object(stats);
    return exit;
  }
  for (const line of table(summaryOf(stats))) print.line(line);
  const tables = [
    ['TYPE', stats.types],
    ['OUTCOME', stats.outcomes],
    ['SEVERITY', stats.severities],
    ['ACTOR', stats.actors],
    ['DAY', stats.days.toReversed()],
  ] as const;
  for (const [title, rows] of tables) {
    if (rows.length === 0) continue;
    const all = title === 'TYPE' ? rows : rows.slice(0, shownMax);
    const cells = all.map(({ name, records, bytes }) => [name, `${records}`, formatSize(bytes)]);
    print.line();
    for (const line of table([[title, 'RECORDS', 'SIZE'], ...cells])) print.line(line);
    if (rows.length > all.length) print.line(`… ${rows.length - all.length} more: --json`);
  }
  if (!isWhole) {
    print.warn(
      print.err.red(
        `the index counts ${stats.size.index} records, the log holds ${stats.size.log}: orchestra audit list --from-segments`,
      ),
    );
  }
  return exit;
};

function summaryOf(stats: AuditStats): string[][] {
  const { hours, runs, records, bytes, first_at: first, last_at: last } = stats;
  const gap =
    hours.longest_gap === 0
      ? 'none without a record'
      : `the longest gap is ${hours.longest_gap} h from ${hourOf(hours.gap_from)}`;
  return [
    ['log', stats.origin],
    ['records', `${records} (${formatSize(bytes)})`],
    ['hours', first === undefined ? 'none' : `${hourOf(first)} to ${hourOf(last)} UTC`],
    ['runs', `${runs.submitted} submitted, ${runs.closed} closed; open now: ${runs.open}`],
    [
      'coverage',
      `${hours.covered} of ${hours.all} hours hold a record, ${gap}; ${hours.heartbeats} heartbeats`,
    ],
  ];
}

function hourOf(time: string | undefined): string {
  return (time ?? '').slice(0, 16).replace('T', ' ');
}
