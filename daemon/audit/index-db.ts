import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { DatabaseSync } from 'node:sqlite';
import { OrchestraError } from '#contract/errors.ts';
import { conditionsOf, matches, rankOf, type RecordFilter } from './reading/filter.ts';
import { statsOf, type IndexStats } from './reading/index-stats.ts';
import { blockRecords, IndexWriter, schema, schemaVersion } from './reading/index-writer.ts';
import { readLines } from './reading/read-lines.ts';
import type { Log, LogLine } from './types.ts';
import { Wakeup } from './wakeup.ts';

export type IndexQuery = RecordFilter & {
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
  /** Numbers that this page answers for, `from` up to, not including, `to`. */
  scanned: Range;
};

export type Range = { from: number; to: number };

/** Where a line lies, and what it has to be. */
export type Place = { seq: number; segment: number; offset: number; length: number; hash: string };

/**
 * What the index says is never taken for what was recorded: a line comes from its segment, is hashed
 * there and compared with its row. Rows that are missing from what a page looks at are noticed by
 * their number; a row that was changed so that no filter meets it is not, which is what reading the
 * segments is for.
 */
export interface LogIndex {
  /** Records that are indexed. */
  readonly size: number;
  /** Waits for what was durable at the time of the call, then answers from the segments. */
  query(query?: IndexQuery): Promise<IndexPage>;
  /** One record by its number. */
  find(seq: number): Promise<LogLine | undefined>;
  /** Where the records of a run lie, in order: as many as the log counts, or it throws. */
  placesOfRun(run: string): Promise<Place[]>;
  /** Numbers that the filter meets, its text left aside, as far as the index knows. */
  numbers(filter: RecordFilter, range: Range): Promise<number[]>;
  /** Counts of whole UTC days, `2026-11-22`, both inclusive. */
  stats(days?: { since?: string | undefined; until?: string | undefined }): Promise<IndexStats>;
  close(): Promise<void>;
}

const indexName = 'index.sqlite';
const burstMs = 25;
const batchMax = 512;
const pageMax = 1_000;
const againMs = 2_000;
/** A search for letters reads lines; a page gives up after so many and says where to go on. */
const scanMax = 20_000;

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
    const first = Number(database.prepare('SELECT min(seq) AS n FROM records').get()?.['n']);
    const rows = database.prepare('SELECT count(*) AS n FROM records').get()?.['n'];
    if (last !== undefined) {
      const seq = Number(last['seq']);
      const counted = database.prepare('SELECT sum(records) AS n FROM counts').get()?.['n'];
      // What was pruned while it was away is dropped later; what was pruned before is not there.
      if (rows !== seq + 1 - first || counted !== rows || first > log.first) {
        throw new Error('the index has gaps');
      }
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
  private readonly writer: IndexWriter;
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
    this.writer = new IndexWriter(database);
    this.following = this.follow();
  }

  get size(): number {
    return this.indexed;
  }

  async query(query: IndexQuery = {}): Promise<IndexPage> {
    await this.caughtUp();
    const limit = Math.min(Math.max(1, query.limit ?? 100), pageMax);
    const search = new Search(query, { from: this.log.first, to: this.indexed });
    const lines: LogLine[] = [];
    let looked = 0;
    for (let slice = search.next(); slice !== undefined; slice = search.next()) {
      if (!this.mayHold(slice, query)) {
        search.done(slice);
        continue;
      }
      const wanted = query.text === undefined ? limit - lines.length : pageMax;
      const rows = this.rows(query, slice, wanted);
      let last: number | undefined;
      for await (const line of this.fetch(rows)) {
        last = line.record.seq;
        looked += 1;
        if (query.text === undefined || matches(line, { text: query.text })) lines.push(line);
        if (lines.length === limit) break;
      }
      const isCut = lines.length === limit || rows.length === wanted;
      const seen = search.done(slice, isCut ? last : undefined);
      this.assertWhole(seen, query);
      if (lines.length === limit || looked >= scanMax) break;
      await turn();
    }
    return { lines, next: search.cursor, scanned: search.scanned };
  }

  async find(seq: number): Promise<LogLine | undefined> {
    await this.caughtUp();
    if (seq >= this.indexed || seq < this.log.first) return undefined;
    const row = this.database.prepare('SELECT * FROM records WHERE seq = ?').get(seq);
    if (row === undefined) throw changed(seq);
    for await (const line of this.fetch([row as Row])) return line;
    return undefined;
  }

  async placesOfRun(run: string): Promise<Place[]> {
    await this.caughtUp();
    const rows = this.database
      .prepare('SELECT seq, segment, offset, length, hash FROM records WHERE run = ? ORDER BY seq')
      .all(run) as Place[];
    if (this.lacksOf(run, rows.length)) throw changed(rows.at(-1)?.seq);
    return rows.filter(({ seq }) => seq >= this.log.first);
  }

  async numbers(filter: RecordFilter, { from, to }: Range): Promise<number[]> {
    await this.caughtUp();
    const { sql, values } = conditionsOf(filter);
    const where = ['seq >= ?', 'seq < ?', ...sql].join(' AND ');
    return this.database
      .prepare(`SELECT seq FROM records WHERE ${where} ORDER BY seq`)
      .all(from, to, ...values)
      .map((row) => Number(row['seq']));
  }

  async stats(days: { since?: string; until?: string } = {}): Promise<IndexStats> {
    await this.caughtUp();
    await this.forgetPruned();
    return statsOf(this.database, this.indexed - this.log.first, days);
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
    await this.forgetPruned();
    for await (const line of this.log.follow({ from: this.indexed, signal })) {
      batch.push(line);
      // As large as what is there already, so that a record is never held back.
      if (batch.length < batchMax && line.record.seq + 1 < this.log.size) continue;
      this.write(batch);
      this.failure = undefined;
      if (batch.some(({ record }) => record.type === 'log.pruned')) await this.forgetPruned();
      batch = [];
      // Inserting is synchronous. Far behind, others get a turn in between; close to the end, what
      // comes in a burst goes in together, unless somebody waits.
      if (this.log.size - this.indexed >= batchMax) await turn();
      else await Promise.race([sleep(burstMs, undefined, { ref: false }), this.hurry.promise]);
    }
  }

  private write(batch: readonly LogLine[]): void {
    this.writer.write(batch);
    this.indexed = (batch.at(-1)?.record.seq ?? -1) + 1;
    this.progress.wake();
  }

  private async forgetPruned(): Promise<void> {
    while (!this.stop.signal.aborted && this.writer.forget(this.log.first)) await turn();
  }

  /** Where a stretch has no record of the time that is asked for, nobody has to look. */
  private mayHold({ from, to }: Range, { since, until }: RecordFilter): boolean {
    if (since === undefined && until === undefined) return true;
    const rows = this.database
      .prepare('SELECT min_ts, max_ts FROM blocks WHERE block >= ? AND block <= ?')
      .all(Math.floor(from / blockRecords), Math.floor((to - 1) / blockRecords));
    return (
      rows.length === 0 ||
      rows.some(
        (row) =>
          Number(row['max_ts']) >= (since ?? -Infinity) &&
          Number(row['min_ts']) <= (until ?? Infinity),
      )
    );
  }

  private rows(query: IndexQuery, { from, to }: Range, limit: number): Row[] {
    const { sql, values } = conditionsOf(query);
    const where = ['seq >= ?', 'seq < ?', ...sql].join(' AND ');
    const order = query.order === 'newest' ? 'DESC' : 'ASC';
    // A run is asked for whole, and has far fewer records than there are of a type.
    const by = query.run === undefined ? '' : 'INDEXED BY by_run';
    const text = `SELECT * FROM records ${by} WHERE ${where} ORDER BY seq ${order} LIMIT ?`;
    return this.database.prepare(text).all(from, to, ...values, limit) as Row[];
  }

  // Of what a page answers for no number may be missing, whatever was asked for. Where a run is
  // asked for the log itself knows how many records it has.
  private assertWhole({ from, to }: Range, { run }: RecordFilter): void {
    const count = (where: string, ...values: (string | number)[]) =>
      Number(
        this.database.prepare(`SELECT count(*) AS n FROM records WHERE ${where}`).get(...values)?.[
          'n'
        ],
      );
    if (run !== undefined && this.log.first === 0) {
      if (this.lacksOf(run, count('run = ?', run))) throw changed(from);
    } else if (count('seq >= ? AND seq < ?', from, to) !== to - from) throw changed(from);
  }

  // Records that came since the index was asked are not missed, nor are those that were pruned.
  private lacksOf(run: string, records: number): boolean {
    if (this.log.first > 0 || this.indexed < this.log.size) return false;
    return records < (this.log.runState(run)?.records ?? 0);
  }

  // The index only says where to look; what is handed out are the bytes of the segment.
  private async *fetch(rows: readonly Row[]): AsyncGenerator<LogLine, void, undefined> {
    for await (const { place: row, line } of readLines(this.dir, rows)) {
      if (line === undefined || !isOf(line, row)) {
        // Whose fault it is: where the log still reads as it was written, it is the index's.
        await Array.fromAsync(this.log.read({ from: row.seq, to: row.seq + 1 }));
        throw changed(row.seq);
      }
      yield line;
    }
  }
}

type Row = Place & {
  ts: number;
  type: string;
  run: string | null;
  actor: string;
  uid: number | null;
  kind: string;
  outcome: string;
  sev: number;
};

function isOf({ record, hash }: LogLine, row: Row): boolean {
  const { actor } = record;
  return (
    hash === row.hash &&
    record.seq === row.seq &&
    Date.parse(record.ts) === row.ts &&
    record.type === row.type &&
    (record.run ?? null) === row.run &&
    (actor.name ?? '') === row.actor &&
    (actor.uid ?? null) === row.uid &&
    actor.kind === row.kind &&
    record.outcome === row.outcome &&
    rankOf(record.sev) === row.sev
  );
}

function changed(seq: number | undefined): OrchestraError {
  return new OrchestraError(
    'audit.index_changed',
    `The index does not say what the log says${seq === undefined ? '' : `, at or after record ${seq}`}`,
    {
      hint: 'the log is read without it: orchestra audit list --from-segments; index.sqlite may be deleted while the daemon is stopped, and is made again',
    },
  );
}

/** Goes through the numbers of a log in blocks, in either direction. */
class Search {
  readonly #newest: boolean;
  #from: number;
  #to: number;
  readonly #start: number;
  readonly #step: number;

  constructor({ order, cursor, run }: IndexQuery, { from: first, to: size }: Range) {
    this.#newest = order === 'newest';
    this.#step = run === undefined || first > 0 ? blockRecords : Infinity;
    this.#from = this.#newest ? first : Math.max(first, Math.min(size, (cursor ?? -1) + 1));
    this.#to = this.#newest ? Math.min(size, cursor ?? size) : size;
    this.#start = this.#newest ? this.#to : this.#from;
  }

  /** What is to be looked at next; undefined at the end. */
  next(): Range | undefined {
    if (this.#from >= this.#to) return undefined;
    if (this.#step === Infinity) return { from: this.#from, to: this.#to };
    if (this.#newest) {
      const block = Math.floor((this.#to - 1) / this.#step) * this.#step;
      return { from: Math.max(this.#from, block), to: this.#to };
    }
    const block = (Math.floor(this.#from / this.#step) + 1) * this.#step;
    return { from: this.#from, to: Math.min(this.#to, block) };
  }

  /** All of a stretch is done, or as far as one record; answers what that is. */
  done({ from, to }: Range, last?: number): Range {
    if (this.#newest) {
      this.#to = last ?? from;
      return { from: this.#to, to };
    }
    this.#from = last === undefined ? to : last + 1;
    return { from, to: this.#from };
  }

  get scanned(): Range {
    return this.#newest
      ? { from: this.#to, to: this.#start }
      : { from: this.#start, to: this.#from };
  }

  /** Where the next page starts. */
  get cursor(): number | undefined {
    if (this.#from >= this.#to) return undefined;
    return this.#newest ? this.#to : this.#from - 1;
  }
}
