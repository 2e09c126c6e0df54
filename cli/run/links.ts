import type { LogRecord } from '#contract/records.ts';
import { exactLine, leafOf } from '../audit/record-line.ts';

/** The record that closed the run: its exact line without the line feed, and the hash of it. */
export type Closing = { seq: number; line: string; hash: string };

/**
 * Checks the chain of one run's own records as they come in, on the reader's side: every record
 * names the hash of the run's record before it, and the closing one says how many there are. What
 * this shows: nothing was left out or changed between them on the way here. What it cannot show:
 * that the log itself was not rewritten as a whole; for that see `orchestra audit verify`.
 */
export class RunLinks {
  #records = 0;
  #last = '0'.repeat(64);
  #trouble: string | undefined;
  #closing: Closing | undefined;
  #first: number | undefined;
  #newest = 0;

  see(record: LogRecord): void {
    if (record.rseq === undefined || this.#trouble !== undefined) return;
    this.#first ??= record.seq;
    this.#newest = record.seq;
    if (record.rseq !== this.#records) {
      this.#trouble = `record #${record.seq} is number ${record.rseq} of the run, number ${this.#records} was due`;
    } else if (record.rprev !== this.#last) {
      this.#trouble = `record #${record.seq} does not follow the record before it`;
    }
    this.#records += 1;
    const line = exactLine(record);
    this.#last = leafOf(line);
    if (record.type === 'run.closed') {
      this.#closing = { seq: record.seq, line, hash: this.#last };
      if (record.data['records'] !== this.#records) {
        this.#trouble ??= `the run says it has ${String(record.data['records'])} records, ${this.#records} came`;
      }
    }
  }

  get closing(): Closing | undefined {
    return this.#closing;
  }

  get verdict(): { intact: boolean; text: string } {
    if (this.#trouble !== undefined) return { intact: false, text: `BROKEN: ${this.#trouble}` };
    const range = `${this.#records} records, #${this.#first ?? 0} to #${this.#newest}`;
    return this.#closing
      ? { intact: true, text: `${range}: none missing, every link holds (checked here)` }
      : { intact: true, text: `${range}: every link holds so far (checked here)` };
  }
}
