import type { AnyRecord } from '#contract/records.ts';
import type { Log } from '../../audit/types.ts';
import type { RunRoots } from '../../workspace/prune/request.ts';
import { DigestBag } from './digest-bag.ts';
import type { PrunableRun } from './keep.ts';

/** Fewer records than this between two runs are read, not stepped over. */
const gapMax = 2_000;

export type Roots = {
  of: Map<string, RunRoots>;
  /** When a run was used last, as far as these records tell: by itself, or by somebody else. */
  usedAt: Map<string, number>;
};

/**
 * What runs keep, straight from the log: every digest that any record of them names. So a record
 * of a new kind keeps what it names before anybody thinks of pruning.
 */
export async function readRoots(
  log: Pick<Log, 'read'>,
  runs: readonly PrunableRun[],
  signal?: AbortSignal,
): Promise<Roots> {
  const bags = new Map<string, RunBags>(runs.map(({ id }) => [id, new RunBags()]));
  const usedAt = new Map<string, number>();
  const use = (run: string | undefined, at: number): void => {
    if (run !== undefined) usedAt.set(run, Math.max(at, usedAt.get(run) ?? 0));
  };
  for (const range of rangesOf(runs)) {
    for await (const { record } of log.read(range)) {
      signal?.throwIfAborted();
      const known = record as AnyRecord;
      const at = Date.parse(known.ts);
      use(known.run, at);
      use(usedRun(known), at);
      bags.get(known.run ?? '')?.take(known);
    }
  }
  return {
    usedAt,
    of: new Map(
      [...bags].map(([run, { digests, folders }]) => [
        run,
        { run, digests: digests.bytes, folders: folders.bytes },
      ]),
    ),
  };
}

class RunBags {
  readonly digests = new DigestBag();
  readonly folders = new DigestBag();

  take(record: AnyRecord): void {
    if (record.type === 'artifact.collected' && record.data.kind === 'directory') {
      this.folders.add(record.data.sha256);
    }
    this.digests.addAll(record.data);
  }
}

/** The other run that a record makes use of. */
function usedRun(record: AnyRecord): string | undefined {
  switch (record.type) {
    case 'task.cached':
      return record.data.from_run;
    case 'run.submitted':
      return record.data.continues?.run;
    case 'artifact.downloaded':
      return record.obj?.['run'];
    default:
      return undefined;
  }
}

/** Runs overlap, and each record is read once. */
function rangesOf(runs: readonly PrunableRun[]): { from: number; to: number }[] {
  const ranges: { from: number; to: number }[] = [];
  for (const { audit } of runs.toSorted((a, b) => a.audit.first - b.audit.first)) {
    const before = ranges.at(-1);
    const to = audit.last + 1;
    if (before !== undefined && audit.first - before.to <= gapMax) {
      before.to = Math.max(before.to, to);
    } else ranges.push({ from: audit.first, to });
  }
  return ranges;
}
