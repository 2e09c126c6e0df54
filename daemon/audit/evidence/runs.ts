import type { AnyRecord } from '#contract/records.ts';
import { csvCell } from '../export/csv.ts';
import { wordFor } from '../reading/filter.ts';

export type EvidenceRun = {
  run: string;
  first_seq: number;
  last_seq: number;
  records: number;
  submitted_at?: string;
  submitter?: string;
  policy_name?: string;
  policy?: string;
  closed_at?: string;
  outcome?: string;
  exit_code?: number;
};

const columns = [
  'run',
  'submitted_at',
  'submitter',
  'policy_name',
  'policy',
  'closed_at',
  'outcome',
  'exit_code',
  'records',
  'first_seq',
  'last_seq',
] as const;

/** Every run with a record of the time, a row each: a list to draw samples from. */
export class EvidenceRuns {
  readonly #runs = new Map<string, EvidenceRun>();

  add(record: AnyRecord): void {
    if (record.run === undefined) return;
    const run = this.#of(record.run, record.seq);
    run.last_seq = record.seq;
    run.records += 1;
    this.tell(run, record);
  }

  /** What a record says of its run, also one from before the time. */
  tell(run: EvidenceRun, record: AnyRecord): void {
    if (record.type === 'run.submitted') {
      run.submitted_at = record.ts;
      run.submitter = wordFor(record.actor);
      run.policy_name = record.data.policy;
    } else if (record.type === 'run.accepted') run.policy = record.data.policy;
    else if (record.type === 'run.closed') {
      run.closed_at = record.ts;
      run.outcome = record.data.outcome;
      run.exit_code = record.data.exit_code;
    }
  }

  all(): EvidenceRun[] {
    return [...this.#runs.values()];
  }

  *csv(): Generator<string> {
    yield `${columns.join(',')}\r\n`;
    for (const run of this.#runs.values()) {
      yield `${columns.map((column) => csvCell(run[column])).join(',')}\r\n`;
    }
  }

  #of(id: string, seq: number): EvidenceRun {
    let run = this.#runs.get(id);
    if (run === undefined) {
      run = { run: id, first_seq: seq, last_seq: seq, records: 0 };
      this.#runs.set(id, run);
    }
    return run;
  }
}
