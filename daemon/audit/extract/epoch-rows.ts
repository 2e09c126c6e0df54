import type { EpochRow } from '#contract/checkpoint.ts';
import { spellProof, type SignedCheckpoint } from '#verifier/tlog/checkpoint.ts';
import { spellNote } from '#verifier/tlog/note.ts';
import type { LogIndex } from '../index-db.ts';
import type { Checkpoints, EpochKey } from '../tree/types.ts';
import { notesOfSizes } from './final-notes.ts';

type Parts = {
  /** The log's folder. */
  dir: string;
  index: Pick<LogIndex, 'find' | 'query'>;
  checkpoints: Checkpoints;
};

/** What somebody needs to follow the log from one key to the next. */
export class EpochRows {
  readonly #deps: Parts;
  /** What a key signed last never changes but for signatures of others. */
  readonly #finals = new Map<number, string>();

  constructor(deps: Parts) {
    this.#deps = deps;
  }

  /**
   * How each key of the log was made known, from the epoch after `after` up to the one that signed
   * this checkpoint.
   */
  async upTo(checkpoint: SignedCheckpoint, after = -1): Promise<EpochRow[]> {
    const { checkpoints } = this.#deps;
    const keys = checkpoints.keys.filter(
      ({ epoch, seq }) => epoch > after && seq + (epoch === 0 ? 0 : 1) < checkpoint.size,
    );
    await this.#findFinals(keys);
    const rows: EpochRow[] = [];
    for (const { epoch, seq } of keys) {
      const final = epoch === 0 ? undefined : this.#finals.get(seq + 1);
      const line = await this.#keyLine(seq);
      if (line === undefined || (epoch > 0 && final === undefined)) continue;
      const size = final === undefined ? checkpoint.size : seq + 1;
      const [proof, consistency] = await Promise.all([
        checkpoints.tree.inclusion(seq, size),
        size === checkpoint.size ? [] : checkpoints.tree.consistency(size, checkpoint.size),
      ]);
      rows.push({
        epoch,
        seq,
        line,
        proof: spellProof(proof),
        checkpoint: final ?? spellNote(checkpoint.note),
        consistency: spellProof(consistency),
      });
    }
    return rows;
  }

  async #findFinals(keys: readonly EpochKey[]): Promise<void> {
    const sizes = keys.flatMap(({ epoch, seq }) => (epoch === 0 ? [] : [seq + 1]));
    const missing = new Set(sizes.filter((size) => !this.#finals.has(size)));
    if (missing.size === 0) return;
    const found = await notesOfSizes(this.#deps.dir, missing);
    for (const [size, note] of found) this.#finals.set(size, note);
  }

  /** A key outlives the segment that told of it: then the log has said it again. */
  async #keyLine(seq: number): Promise<string | undefined> {
    const line = await this.#deps.index.find(seq);
    if (line !== undefined) return line.line;
    const carried = await this.#deps.index.query({ type: 'log.carried', limit: 1_000 });
    const again = carried.lines.find(({ record }) => record.data['of'] === seq);
    return again === undefined ? undefined : String(again.record.data['line']);
  }
}
