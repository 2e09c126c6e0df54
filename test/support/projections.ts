import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import type { AnyRecord } from '#contract/records.ts';
import { carriedBy } from '#daemon/audit/retention/carried.ts';
import { rankOf } from '#daemon/audit/reading/filter.ts';
import { scanLog } from '#verifier/scan.ts';

/** Something that is a fold over the log and nothing else: as it is, and made anew. */
export type Projection = {
  live: () => unknown;
  fold: (record: AnyRecord) => void;
  anew: () => unknown;
};

type Fold = { fold(record: AnyRecord): void };

export function projection<T extends Fold>(live: T, anew: T, look: (fold: T) => unknown) {
  return {
    live: () => look(live),
    fold: (record: AnyRecord) => anew.fold(record),
    anew: () => look(anew),
  };
}

/**
 * Reads the log from disk by the verifier's rules, and throws where a projection that was made from
 * it is not what was there while the log was written, or where the index says something else. Reads
 * only. An index may be behind where `isBehind`: its log was blocked. Then `size` records count: one
 * more may be on disk that nobody was ever told of.
 */
export async function assertRebuilt(
  { dir, index }: { dir: string; index: string },
  projections: readonly Projection[],
  { isBehind, size }: { isBehind: boolean; size: number },
): Promise<void> {
  let rows: Record<string, unknown>[] = [];
  let first: number | undefined;
  const scan = await scanLog(dir, {
    onRecord: (record, chain, { segment, offset, length }) => {
      const { seq, ts, type, run, actor, outcome, sev } = record as unknown as AnyRecord;
      rows.push({
        seq,
        ts: Date.parse(ts),
        type,
        run: run ?? null,
        actor: actor.name ?? '',
        uid: actor.uid ?? null,
        kind: actor.kind,
        outcome,
        sev: rankOf(sev),
        segment: segment.first,
        offset,
        length,
        hash: chain.head,
      });
      first ??= seq;
      const known = record as unknown as AnyRecord;
      // What was let go is not looked for any more, wherever it lies.
      if (known.type === 'log.pruned') {
        rows = rows.filter((row) => Number(row['seq']) >= known.data.to_seq);
      }
      if (isBehind && seq >= size) return undefined;
      for (const one of [carriedBy(record, first), known]) {
        if (one !== undefined) for (const { fold } of projections) fold(one);
      }
      return undefined;
    },
  });
  assert.equal(scan.failure, undefined, 'the log is sound');
  for (const { live, anew } of projections) {
    assert.deepStrictEqual(anew(), live(), 'a fold over the log is what was there live');
  }
  using database = new DatabaseSync(index, { readOnly: true });
  const indexed = database.prepare('SELECT * FROM records ORDER BY seq').all();
  const expected = isBehind ? rows.slice(0, indexed.length) : rows;
  assert.deepStrictEqual(
    indexed.map((row) => ({ ...row })),
    expected,
    'the index says what the log says',
  );
}
