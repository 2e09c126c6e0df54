import type { AnyRecord, RecordOf } from '#contract/records.ts';
import type { Log } from '../../audit/types.ts';
import type { RunFacts } from '../state.ts';

export type Decided = {
  record: RecordOf<'policy.decided'> | RecordOf<'request.opened'> | RecordOf<'run.accepted'>;
  hash: string;
};

/** What decisions about a whole plan stand under; no task can have the name. */
export const planTask = '(plan)';

/** What policy decided in a run, by task, in the order of the log. */
export async function decisionsOf(
  log: Pick<Log, 'read'>,
  run: RunFacts,
): Promise<Map<string, Decided[]>> {
  const found = new Map<string, Decided[]>();
  const { first, last } = run.audit;
  for await (const { record, hash } of log.read({ from: first, to: last + 1 })) {
    if (record.run !== run.id) continue;
    const known = record as AnyRecord;
    if (!isDecision(known)) continue;
    const task = known.obj?.['task'] ?? planTask;
    const all = found.get(task) ?? [];
    all.push({ record: known, hash });
    found.set(task, all);
  }
  return found;
}

function isDecision(record: AnyRecord): record is Decided['record'] {
  switch (record.type) {
    case 'policy.decided':
    case 'run.accepted':
      return true;
    case 'request.opened':
      return record.data.kind === 'approval';
    default:
      return false;
  }
}
