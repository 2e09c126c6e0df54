import type { Failure } from './chain.ts';
import type { Envelope } from './envelope.ts';

type Segment = { first_seq: number; records: number; bytes: number; sha256: string; last: string };
type Span = { run: string; records: number; last: string; closed: boolean };
export type Pruning = {
  /** Number of the record that says so. */
  seq: number;
  origin: string;
  from_seq: number;
  to_seq: number;
  segments: Segment[];
  spans: Span[];
  tree_size: number;
  root: string;
};

type Sighting = { seq: number; rseq: number; rprev: string };

/** More runs than can be declared in one record; beyond it the log is refused anyway. */
const sightingsMax = 10_000;

/**
 * A log whose front is missing, and what it says of that itself: the newest `log.pruned`, by the
 * rules that stand beside it in the registry. Feed it every record there is; whatever it is told,
 * the records that are there are held to the same rules as those of a log that is whole.
 */
export class MissingFront {
  /** The newest record that lets something go, also where nothing is missing yet. */
  pruning: Pruning | undefined;
  #first: { seq: number; prev: string } | undefined;
  readonly #begun = new Set<string>();
  readonly #cut = new Map<string, Sighting>();

  see(record: Envelope): void {
    const { seq, type, run, rseq, rprev } = record;
    this.#first ??= { seq, prev: record.prev };
    if (type === 'log.pruned') this.pruning = pruningOf(record);
    if (this.#first.seq === 0 || run === undefined || this.#begun.has(run)) return;
    this.#begun.add(run);
    if (rseq !== 0 && this.#cut.size < sightingsMax) {
      this.#cut.set(run, { seq, rseq: rseq ?? 0, rprev: rprev ?? '' });
    }
  }

  /** What is wrong with how the log begins; nothing where it begins with its first record. */
  judge(): Failure | undefined {
    const first = this.#first;
    if (first === undefined || first.seq === 0) return undefined;
    const { pruning } = this;
    const before = pruning && lastBefore(pruning, first.seq);
    if (pruning === undefined || before === undefined) {
      const detail = `records 0 to ${first.seq - 1} are not here, and no record lets them go`;
      return { reason: 'pruned_undeclared', seq: 0, detail };
    }
    if (before !== first.prev) {
      const detail = `does not continue what record ${pruning.seq} let go`;
      return { reason: 'prev_mismatch', seq: first.seq, detail };
    }
    return this.#judgeRuns(pruning);
  }

  #judgeRuns({ seq: by, to_seq, spans }: Pruning): Failure | undefined {
    const declared = new Map(spans.map((span) => [span.run, span]));
    for (const [run, { seq, rseq, rprev }] of this.#cut) {
      // A removal that is not over: the declaration is about what begins later.
      if (seq < to_seq) continue;
      const span = declared.get(run);
      if (span?.records === rseq && span.last === rprev) continue;
      const detail = `run ${run} begins at its record ${rseq}, and record ${by} does not say so`;
      return { reason: 'run_incomplete', seq, detail };
    }
    return undefined;
  }
}

/** The hash of the last record that went where a log begins at `first`; undefined where none did. */
function lastBefore({ to_seq, segments }: Pruning, first: number): string | undefined {
  const next = (at: number) => segments[at + 1]?.first_seq ?? to_seq;
  return segments.find((_, at) => next(at) === first)?.last;
}

/** Undefined where it does not say what such a record has to say: then it lets nothing go. */
function pruningOf({ seq, data }: Envelope): Pruning | undefined {
  const { to_seq: to, segments, spans } = data;
  const isWhole =
    typeof to === 'number' &&
    isListOf(segments, { first_seq: 'number', last: 'string' }) &&
    isListOf(spans, { run: 'string', records: 'number', last: 'string' });
  return isWhole ? { seq, ...(data as Omit<Pruning, 'seq'>) } : undefined;
}

function isListOf(list: unknown, fields: Readonly<Record<string, string>>): boolean {
  if (!Array.isArray(list)) return false;
  return list.every(
    (item: unknown) =>
      typeof item === 'object' &&
      Object.entries(fields).every(
        ([name, kind]) => typeof (item as Record<string, unknown>)[name] === kind,
      ),
  );
}
