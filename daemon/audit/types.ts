import type { OrchestraError } from '#contract/errors.ts';
import type {
  Actor,
  AnyRecord,
  LogRecord,
  Outcome,
  RecordData,
  RecordOf,
  RecordType,
  Severity,
  Stage,
} from '#contract/records.ts';

/**
 * What the caller says about one record; the log adds number, chain, times and numbers in the run.
 *
 * Left out: `stage` is `note` (an act has to say `intent` or `result`, and carry `req`), `outcome`
 * is `ok`, `sev` is `info`, `actor` is the daemon itself.
 */
export type Entry<T extends RecordType = RecordType> = {
  type: T;
  data: EntryData<T>;
  stage?: Stage | undefined;
  outcome?: Outcome | undefined;
  sev?: Severity | undefined;
  actor?: Actor | undefined;
  req?: string | undefined;
  run?: string | undefined;
  obj?: Record<string, string> | undefined;
  pol?: { hash: string; rule: string } | undefined;
};

/** An entry of any type, its data belonging to its type. */
export type AnyEntry = { [T in RecordType]: Entry<T> }[RecordType];

/**
 * `run.closed` carries how many records the run has, itself included. The log fills it in, in the
 * same tick as the number of the record: whoever counted outside could miss a record in between.
 */
export type EntryData<T extends RecordType> = T extends 'run.closed'
  ? Omit<RecordData<T>, 'records'>
  : RecordData<T>;

/** One record as it lies on disk. `hash` is that of the line's bytes, computed after reading. */
export type LogLine = {
  record: LogRecord;
  line: string;
  hash: string;
  /** First number of the segment, and where in that file the line starts. */
  segment: number;
  offset: number;
  /** Bytes without the line feed. */
  length: number;
};

export type LogRange = {
  /** First sequence number; the first that is there if left out, or where that one was pruned. */
  from?: number | undefined;
  /** The sequence number to stop before; the end of the durable log if left out. */
  to?: number | undefined;
  run?: string | undefined;
  type?: RecordType | undefined;
};

export type FollowOptions = {
  from?: number | undefined;
  run?: string | undefined;
  signal?: AbortSignal | undefined;
};

/** Size of a log and the hash of its last record: what has to be remembered to notice a lost tail. */
export type LogHead = { size: number; hash: string };

/**
 * The append-only log: the audit trail and the database.
 *
 * Order: records get their numbers in the order of the calls. Concurrency: any number of callers;
 * waiting ones share one fdatasync. Repeating a call appends a second record.
 */
export interface Log {
  /** Records durable so far; the sequence number of the next one, once it is durable. */
  readonly size: number;
  /** Number of the first record that is there: 0 until `log.pruned` says that what came before went. */
  readonly first: number;
  /** First numbers of the segments that are there, ascending; the last one is written to. */
  readonly segments: readonly number[];
  readonly head: LogHead;
  readonly origin: string;

  /**
   * Resolves only once the record is durable and folded through `onRecord`, in order. Rejects with
   * `internal.bug` where the entry does not fit its schema (nothing is written, the log goes on),
   * `daemon.busy` where too much waits, `audit.unavailable` once the log is blocked or closed.
   */
  append<T extends RecordType>(entry: Entry<T>): Promise<RecordOf<T>>;

  /** Several records with contiguous numbers, all or (by a check before the first) none. */
  appendAll(entries: readonly AnyEntry[]): Promise<AnyRecord[]>;

  /**
   * Durable records in order, read from the segments, re-hashed and chained one to the next; ends
   * at what was durable when it began. Throws `audit.broken` where the files changed underneath.
   */
  read(range?: LogRange): AsyncGenerator<LogLine, void, undefined>;

  /**
   * History and then live, one stream. A slow reader reads from disk again and never holds up the
   * writer. Ends when `signal` aborts or the log closes; throws when the log blocks.
   */
  follow(options?: FollowOptions): AsyncGenerator<LogLine, void, undefined>;

  /** How many durable records a run has, and whether it was closed. */
  runState(run: string): { records: number; closed: boolean } | undefined;
  /**
   * What the next record of a run continues, as of this tick: also what is on its way to the disk.
   * Undefined where it has none, or where all that it had was pruned.
   */
  runTip(run: string): { records: number; last: string; closed: boolean } | undefined;
  /** Runs that have records but no `run.closed`: what recovery has to reconcile. */
  openRuns(): string[];

  /** Throws `disk.full` below the low-water mark: ask before a run is accepted. */
  assertRoom(): Promise<void>;

  /**
   * Notes size and hash in `heads.jsonl`. The log does it itself at run close, rotation and close,
   * and each time it has grown by a MiB.
   */
  saveHead(): Promise<void>;

  /** The first failure of a write. From then on every append rejects: the daemon has to stop. */
  readonly blocked: OrchestraError | undefined;
  /** Blocks the log: somebody found that it is not what was written, and nothing may follow it. */
  refuse(error: OrchestraError): void;
  /** Calls back once when the log blocks, at once if it has. Returns the way to stop listening. */
  onBlocked(listener: (error: OrchestraError) => void): () => void;

  /** Waits for what was appended, notes the head, gives the lock back. Safe to repeat. */
  close(): Promise<void>;
}
