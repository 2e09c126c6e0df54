import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { LogLine } from '../types.ts';
import { rankOf, wordFor } from './filter.ts';

/** Another number, and every index is built again from the segments. */
export const schemaVersion = 2;

/** Records of one block: what a search looks at in one go. */
export const blockRecords = 16_384;

/**
 * `records` says where each line lies and what can be asked of it; `blocks` which times a stretch of
 * records has, since clocks jump and no order can be relied on; `counts` and `hours` are what
 * `audit stats` answers from.
 */
export const schema = `
  CREATE TABLE records (
    seq INTEGER PRIMARY KEY, ts INTEGER NOT NULL, type TEXT NOT NULL, run TEXT, actor TEXT NOT NULL,
    uid INTEGER, kind TEXT NOT NULL, outcome TEXT NOT NULL, sev INTEGER NOT NULL,
    segment INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, hash TEXT NOT NULL
  ) STRICT;
  CREATE INDEX by_run ON records (run, seq) WHERE run IS NOT NULL;
  CREATE INDEX by_type ON records (type, seq);
  CREATE TABLE blocks (
    block INTEGER PRIMARY KEY, min_ts INTEGER NOT NULL, max_ts INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE counts (
    day TEXT NOT NULL, type TEXT NOT NULL, outcome TEXT NOT NULL, sev INTEGER NOT NULL,
    who TEXT NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (day, type, outcome, sev, who)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE hours (hour INTEGER PRIMARY KEY, records INTEGER NOT NULL) STRICT;
  PRAGMA user_version = ${schemaVersion};
`;

export const hourMs = 3_600_000;

/** Puts lines into the index, a batch at a time, whole or not at all. */
export class IndexWriter {
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #block: StatementSync;
  readonly #count: StatementSync;
  readonly #hour: StatementSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#insert = database.prepare(
      'INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
    this.#block = database.prepare(
      `INSERT INTO blocks VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET
         min_ts = min(min_ts, excluded.min_ts), max_ts = max(max_ts, excluded.max_ts)`,
    );
    this.#count = database.prepare(
      `INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
         records = records + excluded.records, bytes = bytes + excluded.bytes`,
    );
    this.#hour = database.prepare(
      'INSERT INTO hours VALUES (?, ?) ON CONFLICT DO UPDATE SET records = records + excluded.records',
    );
  }

  write(batch: readonly LogLine[]): void {
    const blocks = new Map<number, Span>();
    const counts = new Map<string, Count>();
    const hours = new Map<number, number>();
    this.#database.exec('BEGIN');
    for (const line of batch) {
      const { record, segment, offset, length, hash } = line;
      const { seq, type, outcome, actor } = record;
      const ts = Date.parse(record.ts);
      const sev = rankOf(record.sev);
      const name = actor.name ?? '';
      const uid = actor.uid ?? null;
      const run = record.run ?? null;
      const told = [seq, ts, type, run, name, uid, actor.kind, outcome, sev] as const;
      this.#insert.run(...told, segment, offset, length, hash);
      spanIn(blocks, Math.floor(seq / blockRecords), ts);
      countIn(counts, record.ts.slice(0, 10), line, sev);
      const hour = Math.floor(ts / hourMs);
      hours.set(hour, (hours.get(hour) ?? 0) + 1);
    }
    for (const [block, { min, max }] of blocks) this.#block.run(block, min, max);
    for (const { key, records, bytes } of counts.values()) this.#count.run(...key, records, bytes);
    for (const [hour, records] of hours) this.#hour.run(hour, records);
    this.#database.exec('COMMIT');
  }

  /** Drops some of the records before a number that were pruned; false where none is left. */
  forget(before: number): boolean {
    const { n } = this.#database.prepare('SELECT min(seq) AS n FROM records').get() ?? {};
    const from = Number(n ?? before);
    if (from >= before) return false;
    const to = Math.min(before, (Math.floor(from / blockRecords) + 1) * blockRecords);
    this.#database.exec(`
      BEGIN;
      INSERT INTO counts
        SELECT strftime('%Y-%m-%d', ts / 1000, 'unixepoch') AS day, type, outcome, sev,
          CASE WHEN actor <> '' THEN actor WHEN uid IS NOT NULL THEN 'uid:' || uid ELSE kind END AS who,
          -count(*), -sum(length + 1)
        FROM records WHERE seq < ${to} GROUP BY day, type, outcome, sev, who
        ON CONFLICT DO UPDATE SET
          records = records + excluded.records, bytes = bytes + excluded.bytes;
      DELETE FROM counts WHERE records = 0;
      INSERT INTO hours
        SELECT ts / ${hourMs} AS hour, -count(*) FROM records WHERE seq < ${to} GROUP BY hour
        ON CONFLICT DO UPDATE SET records = records + excluded.records;
      DELETE FROM hours WHERE records = 0;
      DELETE FROM blocks WHERE block < ${Math.floor(to / blockRecords)};
      DELETE FROM records WHERE seq < ${to};
      COMMIT;
    `);
    return true;
  }
}

type Span = { min: number; max: number };
type Count = {
  key: readonly [string, string, string, number, string];
  records: number;
  bytes: number;
};

function spanIn(blocks: Map<number, Span>, block: number, ts: number): void {
  const span = blocks.get(block);
  if (span === undefined) blocks.set(block, { min: ts, max: ts });
  else {
    span.min = Math.min(span.min, ts);
    span.max = Math.max(span.max, ts);
  }
}

function countIn(counts: Map<string, Count>, day: string, line: LogLine, sev: number): void {
  const { type, outcome, actor } = line.record;
  const who = wordFor(actor);
  const id = `${day}\n${type}\n${outcome}\n${sev}\n${who}`;
  const count = counts.get(id);
  if (count === undefined) {
    counts.set(id, { key: [day, type, outcome, sev, who], records: 1, bytes: line.length + 1 });
  } else {
    count.records += 1;
    count.bytes += line.length + 1;
  }
}
