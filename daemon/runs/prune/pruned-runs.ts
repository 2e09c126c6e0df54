import { OrchestraError } from '#contract/errors.ts';
import type { AnyRecord } from '#contract/records.ts';
import type { PruneReason } from '#contract/prune.ts';

export type Pruned = { at: string; why: PruneReason; by: string };

const words: Readonly<Record<PruneReason, string>> = {
  rule: 'it was not among the runs that are kept',
  budget: 'the disk budget had room for later runs only',
};

/** Runs of which nothing but the records is there: a fold over the log, like everything known. */
export class PrunedRuns {
  readonly #pruned = new Map<string, Pruned>();
  #lastAt: number | undefined;

  fold(record: AnyRecord): void {
    if (record.type === 'store.prune') this.#lastAt = Date.parse(record.ts);
    if (record.type !== 'run.pruned') return;
    const run = record.obj?.['run'];
    if (run === undefined || this.#pruned.has(run)) return;
    const { name, uid, kind } = record.actor;
    const by = kind === 'daemon' ? 'orchestrad' : (name ?? `uid:${uid ?? 'unknown'}`);
    this.#pruned.set(run, { at: record.ts, why: record.data.why, by });
  }

  find(run: string): Pruned | undefined {
    return this.#pruned.get(run);
  }

  /** When something was removed last. */
  get lastAt(): number | undefined {
    return this.#lastAt;
  }

  /** What somebody is told who asked for content of a run and did not find it. */
  explain(run: string, cause: unknown): unknown {
    const pruned = this.#pruned.get(run);
    if (pruned === undefined || !isAbsence(cause)) return cause;
    return new OrchestraError(cause.code, `${run} was pruned: ${prunedSentence(pruned)}`, {
      hint: `what happened is still on record: orchestra audit list --run ${run}`,
      cause,
    });
  }
}

export function prunedSentence({ at, why, by }: Pruned): string {
  return `on ${at.slice(0, 10)} by ${by}, because ${words[why]}; what it read, wrote and printed is gone`;
}

function isAbsence(cause: unknown): cause is OrchestraError {
  return (
    cause instanceof OrchestraError &&
    (cause.code === 'blob.unknown' || cause.code === 'snapshot.unknown')
  );
}
