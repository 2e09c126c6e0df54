import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { OrchestraError } from '#contract/errors.ts';
import type { RecordType } from '#contract/records.ts';
import { broken } from './reader.ts';
import { readLine } from './read-line.ts';
import type { Log, LogLine } from './types.ts';
import { Wakeup } from './wakeup.ts';

export type IndexQuery = {
  run?: string | undefined;
  type?: RecordType | undefined;
  /** Name of the actor, or `uid:N`, or its kind. */
  actor?: string | undefined;
  outcome?: string | undefined;
  /** UTC milliseconds, both inclusive. */
  since?: number | undefined;
  until?: number | undefined;
  /** Letters that the line has to contain, as they are. */
  text?: string | undefined;
  order?: 'oldest' | 'newest' | undefined;
  /** At most 1,000 a page; 100 if left out. */
  limit?: number | undefined;
  /** The `next` of the page before. */
  cursor?: number | undefined;
};

export type IndexPage = {
  lines: LogLine[];
  /** Where the next page starts; undefined where there is none. */
  next: number | undefined;
};

export interface LogIndex {
  /** Records that are indexed. */
  readonly size: number;
  /** Waits for what was durable at the time of the call, then answers from the segments. */
  query(query?: IndexQuery): Promise<IndexPage>;
  /** One record by its number. */
  find(seq: number): Promise<LogLine | undefined>;
  close(): Promise<void>;
}

const indexName = 'index.sqlite';
const schemaVersion = 1;
const burstMs = 25;
const batchMax = 512;
const pageMax = 1_000;
const againMs = 2_000;
/** A search for letters reads lines; a page gives up after so many and says where to go on. */
const scanMax = 20_000;

const schema = `
  CREATE TABLE records (
    seq INTEGER PRIMARY KEY, ts INTEGER NOT NULL, type TEXT NOT NULL, run TEXT, actor TEXT NOT NULL,
    uid INTEGER, kind TEXT NOT NULL, outcome TEXT NOT NULL,
    segment INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, hash TEXT NOT NULL
  ) STRICT;
  CREATE INDEX by_run ON records (run, seq) WHERE run IS NOT NULL;
  CREATE INDEX by_type ON records (type, seq);
  CREATE INDEX by_ts ON records (ts, seq);
  PRAGMA user_version = ${schemaVersion};
`;

/**
 * The index beside the log. It follows the log on its own and nothing waits for it; deleted while
 * the daemon is stopped, it is built again from the segments and is the same.
 */
export async function openIndex(options: {
  /** The log's folder. */
  dir: string;
  log: Log;
  /** Where the index lies, if not in there. */
  file?: string;
}): Promise<LogIndex> {
  const { dir, log } = options;
  const path = options.file ?? join(dir, indexName);
  let database = await openFresh(path, log).catch(() => undefined);
  if (database === undefined) {
    // Damaged, of another version or of another log: it holds nothing that is not in the segments.
    for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(path + suffix, { force: true });
    database = await openFresh(path, log);
  }
  return new FollowingIndex(dir, log, database);
}

async function openFresh(path: string, log: Log): Promise<DatabaseSync> {
  const database = new DatabaseSync(path);
  try {
    // Losing the end of the index costs nothing: it is caught up from the log.
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF');
    const version = database.prepare('PRAGMA user_version').get()?.['user_version'];
    if (version === 0) database.exec(schema);
    else if (version !== schemaVersion) throw new Error('the index has another version');
    const last = database.prepare('SELECT seq, hash FROM records ORDER BY seq DESC LIMIT 1').get();
    const rows = database.prepare('SELECT count(*) AS n FROM records').get()?.['n'];
    if (last !== undefined) {
      const seq = Number(last['seq']);
      if (rows !== seq + 1) throw new Error('the index has gaps');
      let there: string | undefined;
      for await (const line of log.read({ from: seq, to: seq + 1 })) there = line.hash;
      if (there !== last['hash']) throw new Error('the index belongs to another log');
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

class FollowingIndex implements LogIndex {
  private readonly dir: string;
  private readonly log: Log;
  private readonly database: DatabaseSync;
  private readonly insert: StatementSync;
  private readonly progress = new Wakeup();
  /** Resolved, and made anew, by whoever waits for the index to catch up. */
  private hurry = Promise.withResolvers<void>();
  private readonly stop = new AbortController();
  private readonly following: Promise<void>;
  private failure: unknown;
  private indexed: number;

  constructor(dir: string, log: Log, database: DatabaseSync) {
    this.dir = dir;
    this.log = log;
    this.database = database;
    const row = database.prepare('SELECT coalesce(max(seq) + 1, 0) AS size FROM records').get();
    this.indexed = Number(row?.['size']);
    this.insert = database.prepare(
      'INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    );
    this.following = this.follow();
  }

  get size(): number {
    return this.indexed;
  }

  async query(query: IndexQuery = {}): Promise<IndexPage> {
    await this.caughtUp();
    const limit = Math.min(Math.max(1, query.limit ?? 100), pageMax);
    const lines: LogLine[] = [];
    let { cursor } = query;
    for (let scanned = 0; scanned < scanMax;) {
      const wanted = query.text === undefined ? limit - lines.length : pageMax;
      const rows = this.rows({ ...query, cursor }, wanted);
      for (const row of rows) {
        const line = await this.fetch(row);
        cursor = line.record.seq;
        if (query.text === undefined || line.line.includes(query.text)) lines.push(line);
        if (lines.length === limit) return { lines, next: cursor };
      }
      if (rows.length < wanted) return { lines, next: undefined };
      scanned += rows.length;
    }
    return { lines, next: cursor };
  }

  async find(seq: number): Promise<LogLine | undefined> {
    await this.caughtUp();
    const row = this.database.prepare('SELECT * FROM records WHERE seq = ?').get(seq);
    return row === undefined ? undefined : this.fetch(row as Row);
  }

  async close(): Promise<void> {
    this.stop.abort();
    // Its pause keeps no process alive, and at the end nothing else may.
    this.hurry.resolve();
    await this.following;
    this.database.close();
  }

  private async caughtUp(): Promise<void> {
    const { size } = this.log;
    while (this.indexed < size) {
      this.hurry.resolve();
      this.hurry = Promise.withResolvers();
      if (this.failure !== undefined || this.stop.signal.aborted) {
        throw new OrchestraError('audit.unavailable', 'The index does not follow the log', {
          hint: 'is the disk full? it tries again by itself; the index may be deleted while the daemon is stopped',
          cause: this.failure,
        });
      }
      await this.progress.wait(this.stop.signal);
    }
  }

  private async follow(): Promise<void> {
    const { signal } = this.stop;
    while (!signal.aborted && this.log.blocked === undefined) {
      try {
        await this.followOn();
        break;
      } catch (error) {
        this.failure = error;
        if (this.database.isTransaction) this.database.exec('ROLLBACK');
        this.progress.wake();
        // A disk that is full now may not be later; until then a question is answered by this error.
        await sleep(againMs, undefined, { signal, ref: false }).catch(() => {});
      }
    }
    this.progress.wake();
  }

  private async followOn(): Promise<void> {
    let batch: LogLine[] = [];
    const { signal } = this.stop;
    for await (const line of this.log.follow({ from: this.indexed, signal })) {
      batch.push(line);
      // As large as what is there already, so that a record is never held back.
      if (batch.length < batchMax && line.record.seq + 1 < this.log.size) continue;
      this.write(batch);
      this.failure = undefined;
      batch = [];
      // Inserting is synchronous. Far behind, others get a turn in between; close to the end, what
      // comes in a burst goes in together, unless somebody waits.
      if (this.log.size - this.indexed >= batchMax) await turn();
      else await Promise.race([sleep(burstMs, undefined, { ref: false }), this.hurry.promise]);
    }
  }

  private write(batch: readonly LogLine[]): void {
    this.database.exec('BEGIN');
    for (const { record, segment, offset, length, hash } of batch) {
      const { actor } = record;
      this.insert.run(
        record.seq,
        Date.parse(record.ts),
        record.type,
        record.run ?? null,
        actor.name ?? '',
        actor.uid ?? null,
        actor.kind,
        record.outcome,
        segment,
        offset,
        length,
        hash,
      );
    }
    this.database.exec('COMMIT');
    this.indexed += batch.length;
    this.progress.wake();
  }

  private rows(query: IndexQuery, limit: number): Row[] {
    const newest = query.order === 'newest';
    const where: string[] = [];
    const values: (string | number)[] = [];
    const add = (sql: string, value: string | number | undefined) => {
      if (value === undefined) return;
      where.push(sql);
      values.push(value);
    };
    add('run = ?', query.run);
    add('type = ?', query.type);
    add('outcome = ?', query.outcome);
    add('ts >= ?', query.since);
    add('ts <= ?', query.until);
    add(newest ? 'seq < ?' : 'seq > ?', query.cursor);
    const uid = /^uid:(\d{1,10})$/.exec(query.actor ?? '')?.[1];
    if (uid !== undefined) add('uid = ?', Number(uid));
    else if (query.actor === 'daemon' || query.actor === 'user' || query.actor === 'task') {
      add('kind = ?', query.actor);
    } else add('actor = ?', query.actor);
    const filter = where.length === 0 ? '' : `WHERE ${where.join(' AND ')}`;
    const sql = `SELECT * FROM records ${filter} ORDER BY seq ${newest ? 'DESC' : 'ASC'} LIMIT ?`;
    return this.database.prepare(sql).all(...values, limit) as Row[];
  }

  // The index only says where to look; what is handed out are the bytes of the segment.
  private async fetch(row: Row): Promise<LogLine> {
    const { seq, segment, offset, length, hash } = row;
    const line = await readLine(this.dir, { segment, offset, length });
    if (line?.hash !== hash || line.record.seq !== seq) {
      throw broken({ record: { seq }, segment, offset });
    }
    return line;
  }
}

type Row = { seq: number; segment: number; offset: number; length: number; hash: string };
