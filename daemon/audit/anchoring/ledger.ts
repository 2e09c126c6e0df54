import type { AnyRecord, RecordType } from '#contract/records.ts';
import type { AnchoringSettings } from './settings.ts';

type Kind = 'anchor' | 'witness';
/** How many records somebody confirmed to hold, and when that went on record. */
export type Held = { size: number; at: number };
type Mark = { seq: number; at: number; count: number };

const marksMax = 2048;

/**
 * What others hold of the log, and what nobody but this machine does: a fold over the log, so that
 * it survives the daemon. What anchoring and reading themselves record counts for nothing, or each
 * anchoring would ask for the next one.
 */
export class AnchorLedger {
  readonly #settings: AnchoringSettings;
  readonly #held = new Map<string, Held>();
  /** Records that count and that others do not hold; several in one mark where there are many. */
  #marks: Mark[] = [];
  #latest = -1;
  #size = 0;
  #warned = false;

  constructor(settings: AnchoringSettings) {
    this.#settings = settings;
  }

  /** One that saw nothing yet, for the same settings. */
  anew(): AnchorLedger {
    return new AnchorLedger(this.#settings);
  }

  fold(record: AnyRecord): void {
    // Said again, because its own place was pruned: it is no news that others would have to hold.
    if (record.seq < this.#size) return;
    this.#size = record.seq + 1;
    if (record.type === 'log.pruned') this.#forget(record.data.to_seq);
    if (record.type === 'anchor.sent') this.#hold('anchor', record.data.anchor, record);
    if (record.type === 'witness.cosigned') this.#hold('witness', record.data.witness, record);
    if (record.type === 'log.unanchored') this.#warned = true;
    if (countless.has(record.type)) return;
    this.#latest = record.seq;
    this.#marks.push({ seq: record.seq, at: Date.parse(record.ts), count: 1 });
    if (this.#marks.length > marksMax) this.#marks = inPairs(this.#marks);
  }

  /** Of those only who are configured: a name from an old configuration counts for nothing. */
  held(kind: Kind, name: string): Held {
    return this.#held.get(`${kind} ${name}`) ?? { size: 0, at: 0 };
  }

  /** Whether there is anything worth telling beyond so many records. */
  hasMoreThan(size: number): boolean {
    return this.#latest >= size;
  }

  get size(): number {
    return this.#size;
  }

  /** The most that any hook holds, or that enough witnesses do. */
  get anchored(): number {
    const hooks = this.#settings.hooks.map(({ name }) => this.held('anchor', name).size);
    return Math.max(0, ...hooks, this.quorumSize);
  }

  /** What at least `quorum` witnesses cosigned. */
  get quorumSize(): number {
    const { witnesses, quorum } = this.#settings;
    const sizes = witnesses.map(({ name }) => this.held('witness', name).size);
    return sizes.toSorted((a, b) => b - a)[quorum - 1] ?? 0;
  }

  /** Whether this gap is on record already. */
  get isWarned(): boolean {
    return this.#warned;
  }

  /** What only this machine holds: never less than there is, and the time of the oldest. */
  unanchored(now: number): { records: number; ageMs: number } {
    const records = this.#marks.reduce((sum, { count }) => sum + count, 0);
    const [oldest] = this.#marks;
    return { records, ageMs: oldest === undefined ? 0 : Math.max(0, now - oldest.at) };
  }

  /** For comparing one with another. */
  look(): unknown {
    const { anchored, isWarned, size } = this;
    return { held: [...this.#held], marks: this.#marks, anchored, isWarned, size };
  }

  #forget(to: number): void {
    this.#marks = this.#marks.filter(({ seq }) => seq >= to);
  }

  #hold(kind: Kind, name: string, record: AnyRecord & { data: { size: number } }): void {
    const before = this.anchored;
    const at = Date.parse(record.ts);
    // The newest word counts, also one that says less: whoever lost its memory holds less.
    this.#held.set(`${kind} ${name}`, { size: record.data.size, at });
    const { anchored } = this;
    if (anchored <= before) return;
    this.#warned = false;
    this.#marks = this.#marks.filter((mark, i) => {
      const end = this.#marks[i + 1]?.seq ?? this.#latest + 1;
      return mark.count === 1 ? mark.seq >= anchored : end > anchored;
    });
  }
}

const countless: ReadonlySet<RecordType> = new Set<RecordType>([
  'anchor.requested',
  'anchor.sent',
  'anchor.failed',
  'witness.cosigned',
  'witness.refused',
  'log.unanchored',
  'log.read',
  'log.heartbeat',
  'log.segment.opened',
  'log.segment.closed',
]);

/** Half as many marks, each for two: the newer half of a long gap is not worth more detail. */
function inPairs(marks: readonly Mark[]): Mark[] {
  return marks.flatMap((mark, at) => {
    if (at % 2 === 1) return [];
    return [{ ...mark, count: mark.count + (marks[at + 1]?.count ?? 0) }];
  });
}
