import type { QuotaUse, UsageRow, WhoAmI } from '#contract/access.ts';
import { formatSize } from '#contract/units.ts';
import type { Command } from '../context.ts';
import { textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { pad, table } from '../terminal/text.ts';

/** As whom the daemon knows the caller, how it knows that, what he may do and how much is left. */
export const whoami: Command = async ({ print, client }) => {
  const me = await (await client()).call('whoAmI');
  if (print.json) {
    print.object(me);
    return 0;
  }
  const rows: [string, string][] = [
    ['you', nameOf(me)],
    ['known by', proofs[me.auth] ?? me.auth],
    ...(me.missing === undefined ? [] : [['', me.missing] as [string, string]]),
    ['groups', me.groups.length === 0 ? 'none' : me.groups.join(', ')],
    ...(me.roles.length === 0
      ? [['roles', 'none: you may do nothing but ask this'] as [string, string]]
      : me.roles.map(({ role, by }, index): [string, string] => [
          index === 0 ? 'roles' : '',
          `${pad(role, 9)} ${by}`,
        ])),
    ...me.quotas
      .filter(({ allowed }) => allowed !== undefined)
      .map((quota, index): [string, string] => [index === 0 ? 'quotas' : '', quotaWords(quota)]),
  ];
  for (const [key, value] of rows) print.line(`${pad(key, 9)} ${safe(value)}`.trimEnd());
  return 0;
};

/** Who used how much today, and holds how much of the disk. */
export const usage: Command = async ({ print, client }, _args, options) => {
  const user = textOption(options, 'user');
  const { items } = await (await client()).call('usage', { query: { user } });
  if (print.json) {
    print.object({ items });
    return 0;
  }
  if (items.length === 0) print.note('nobody used anything that still counts');
  const rows = items.map((row) => [
    safe(row.user ?? row.owner),
    ...['open_runs', 'runs_per_day', 'tasks_per_day', 'cpu_minutes_per_day', 'disk'].map((name) =>
      cellOf(row, name),
    ),
  ]);
  rows.unshift(['WHO', 'OPEN', 'RUNS', 'TASKS', 'CPU MIN', 'DISK']);
  for (const line of table(rows)) print.line(line);
  return 0;
};

export function nameOf({ user, uid, token }: WhoAmI): string {
  const name = uid === undefined ? 'nobody in particular' : `${user ?? 'uid'} (${uid})`;
  return token === undefined ? name : `${name}, by the token ${token}`;
}

const proofs: Readonly<Record<string, string>> = {
  peer: "the kernel's word about the other end of the socket (peer)",
  owner: 'a file of yours (owner)',
  token: 'a token',
  socket: 'nothing but that you could open the socket (socket)',
};

function quotaWords({ quota, used, allowed = 0, by }: QuotaUse): string {
  return `${pad(quota, 19)} ${amount(quota, used)} of ${amount(quota, allowed)}  ${by ?? ''}`;
}

function cellOf(row: UsageRow, name: string): string {
  const used: Readonly<Record<string, number>> = {
    open_runs: row.open_runs,
    runs_per_day: row.runs,
    tasks_per_day: row.tasks,
    cpu_minutes_per_day: row.cpu_ms / 60_000,
    disk: row.disk_bytes,
  };
  const allowed = row.quotas.find(({ quota }) => quota === name)?.allowed;
  const said = amount(name, used[name] ?? 0);
  return allowed === undefined ? said : `${said}/${amount(name, allowed)}`;
}

function amount(quota: string, value: number): string {
  if (quota === 'disk') return formatSize(value);
  return quota === 'cpu_minutes_per_day' ? value.toFixed(1).replace(/\.0$/, '') : `${value}`;
}
