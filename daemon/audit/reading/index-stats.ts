import type { DatabaseSync } from 'node:sqlite';
import { severities } from '#contract/audit.ts';
import { hourMs } from './index-writer.ts';

export type Tally = { name: string; records: number; bytes: number };
export type IndexStats = {
  /** All that the index counts, whatever the days, and all that there is to count. */
  size: { index: number; log: number };
  records: number;
  bytes: number;
  firstAt: number | undefined;
  lastAt: number | undefined;
  types: Tally[];
  outcomes: Tally[];
  severities: Tally[];
  actors: Tally[];
  days: Tally[];
  hours: { all: number; covered: number; heartbeats: number; longestGap: number; gapFrom?: number };
};

/** Of each kind at most so many are told, those with most records; of the days the newest. */
const rowsMax = 1_000;

/** Counts of whole days, both inclusive, from tables that are kept with the index. */
export function statsOf(
  database: DatabaseSync,
  expected: number,
  { since = '0000-00-00', until = '9999-99-99' }: { since?: string; until?: string },
): IndexStats {
  const by = (column: string, order = 'records DESC, name') =>
    database
      .prepare(
        `SELECT ${column} AS name, sum(records) AS records, sum(bytes) AS bytes FROM counts
         WHERE day >= ? AND day <= ? GROUP BY ${column} ORDER BY ${order} LIMIT ${rowsMax}`,
      )
      .all(since, until)
      .map((row) => ({
        name: String(row['name']),
        records: Number(row['records']),
        bytes: Number(row['bytes']),
      }));
  const outcomes = by('outcome');
  const types = by('type');
  const days = by('day', 'name DESC').reverse();
  const heartbeats = types.find(({ name }) => name === 'log.heartbeat')?.records ?? 0;
  const sum = (what: 'records' | 'bytes') => outcomes.reduce((all, each) => all + each[what], 0);
  const { first, last, ...hours } = hoursOf(database, days);
  const counted = database.prepare('SELECT sum(records) AS n FROM counts').get()?.['n'];
  return {
    size: { index: Number(counted ?? 0), log: expected },
    records: sum('records'),
    bytes: sum('bytes'),
    firstAt: first,
    lastAt: last,
    types,
    outcomes,
    severities: by('sev').map((each) => ({ ...each, name: severities[Number(each.name)] ?? '?' })),
    actors: by('who'),
    days,
    hours: { ...hours, heartbeats },
  };
}

/** Hours with and without records, from the first to the last record of these days. */
function hoursOf(database: DatabaseSync, days: readonly Tally[]) {
  const none = { first: undefined, last: undefined, all: 0, covered: 0, longestGap: 0 };
  const [from, to] = [days[0]?.name, days.at(-1)?.name];
  if (from === undefined || to === undefined) return none;
  const start = Date.parse(`${from}T00:00:00Z`) / hourMs;
  const end = Date.parse(`${to}T23:00:00Z`) / hourMs;
  const hours = database
    .prepare('SELECT hour FROM hours WHERE hour >= ? AND hour <= ? ORDER BY hour')
    .all(start, end)
    .map((row) => Number(row['hour']));
  const [first, last] = [hours[0], hours.at(-1)];
  if (first === undefined || last === undefined) return none;
  let gap = { hours: 0, from: 0 };
  for (const [at, hour] of hours.entries()) {
    const before = hours[at - 1] ?? hour - 1;
    if (hour - before - 1 > gap.hours) gap = { hours: hour - before - 1, from: before + 1 };
  }
  return {
    first: first * hourMs,
    last: last * hourMs,
    all: last - first + 1,
    covered: hours.length,
    longestGap: gap.hours,
    ...(gap.hours > 0 ? { gapFrom: gap.from * hourMs } : {}),
  };
}
