import type { TaskReceipt } from '#contract/explain.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { AnyRecord, RecordOf } from '#contract/records.ts';
import type { EffectivePolicy } from '../policy/effective.ts';
import type { SandboxSpec } from '../policy/spec.ts';
import type { RunsDeps } from './deps.ts';
import { explainChange } from './cache/explain-change.ts';
import { reasonsFor } from './explain-reasons.ts';
import { explainSettings } from './explain-settings.ts';
import { hintsOf } from './hints.ts';
import type { Runs } from './runs.ts';
import type { RunFacts, TaskFacts } from './state.ts';

const documentBytesMax = 16 * 1024 * 1024;
const untouched: TaskFacts = { state: 'waiting', attempt: 0, artifacts: [] };

/** The receipt of a task's sandbox, read again from the log, and who decided each setting of it. */
export async function explainTask(
  runs: Runs,
  deps: Pick<RunsDeps, 'log' | 'blobs' | 'states' | 'workspace'>,
  at: { run: string; task: string; attempt?: number | undefined },
): Promise<TaskReceipt> {
  const run = runs.find(at.run);
  const plan = await runs.planOf(run);
  const planned = plan?.tasks.find(({ id }) => id === at.task);
  if (planned === undefined && (plan !== undefined || run.closedAt === undefined)) {
    throw new OrchestraError('task.unknown', `${run.id} has no task ${at.task.slice(0, 64)}`, {
      hint: `orchestra show ${run.id}`,
    });
  }
  const facts = run.tasks.get(at.task) ?? untouched;
  const isPruned = plan === undefined && run.plan !== undefined && facts !== untouched;
  const attempt = at.attempt ?? facts.attempt;
  const read = await readRecords(deps, run, at.task, attempt);
  if (at.attempt !== undefined && read.records.length === 0) {
    throw new OrchestraError('task.unknown', `${at.task} had no attempt ${attempt}`, {
      hint: `orchestra explain ${run.id} ${at.task}`,
    });
  }
  const isLast = attempt === facts.attempt;
  const differs = planned && isLast ? await explainChange(deps, run, planned) : undefined;
  return {
    run: run.id,
    task: at.task.slice(0, 64),
    attempt,
    state: planned === undefined && !isPruned ? 'refused' : isLast ? facts.state : 'tried again',
    policy: { name: run.policyName, ...(run.policy === undefined ? {} : { digest: run.policy }) },
    ...(read.receipt === undefined ? {} : { receipt: read.receipt }),
    ...(differs === undefined ? {} : { differs }),
    settings:
      read.receipt === undefined || planned === undefined
        ? []
        : await settingsOf(deps, run, planned, read.receipt.data),
    reasons: reasonsFor({
      run,
      task: at.task,
      facts,
      records: read.records,
      isPlanned: planned !== undefined || isPruned,
    }),
    hints: isLast ? await hintsOf(facts, deps.blobs) : [],
  };
}

/** What the log says of one attempt of one task. */
async function readRecords(
  { log }: Pick<RunsDeps, 'log'>,
  run: RunFacts,
  task: string,
  attempt: number,
): Promise<{ records: AnyRecord[]; receipt: TaskReceipt['receipt'] }> {
  const records: AnyRecord[] = [];
  let receipt: TaskReceipt['receipt'];
  for await (const { record, hash } of log.read({
    from: run.audit.first,
    to: run.audit.last + 1,
  })) {
    if (record.run !== run.id || record.obj?.['task'] !== task) continue;
    const known = record as AnyRecord;
    const of = (known.data as { attempt?: number }).attempt;
    if (of !== undefined && of !== attempt && attempt !== 0) continue;
    records.push(known);
    if (known.type === 'sandbox.receipt') {
      const { data } = known satisfies RecordOf<'sandbox.receipt'>;
      receipt = { seq: known.seq, hash, data };
    }
  }
  return { records, receipt };
}

async function settingsOf(
  deps: Pick<RunsDeps, 'blobs'>,
  run: RunFacts,
  task: PlanTask,
  receipt: NonNullable<TaskReceipt['receipt']>['data'],
) {
  return explainSettings({
    receipt,
    task,
    spec: await documentOf<SandboxSpec>(deps, receipt.requested),
    policy: await documentOf<Omit<EffectivePolicy, 'digest'>>(deps, receipt.policy.digest),
    policyName: receipt.policy.name,
    clamped: run.clamped,
    narrowed: run.narrowed,
  });
}

/** A document of our own by its digest; undefined where it was thrown away. */
async function documentOf<T>(
  { blobs }: Pick<RunsDeps, 'blobs'>,
  digest: Digest,
): Promise<T | undefined> {
  try {
    const bytes = await blobs.read(digest, { maxBytes: documentBytesMax });
    return JSON.parse(bytes.toString('utf8')) as T;
  } catch (error) {
    if (error instanceof OrchestraError && error.code === 'blob.unknown') return undefined;
    throw error;
  }
}
