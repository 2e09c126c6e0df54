import { createHash } from 'node:crypto';
import type { Digest, RunId } from '#contract/ids.ts';
import type { AnyRecord, RecordData } from '#contract/records.ts';
import type { Artifact } from '#contract/run.ts';
import type { Log } from '../../audit/types.ts';

type Receipt = RecordData<'sandbox.receipt'>;

/** What the records of a run say of one of its tasks: of the attempt that counts. */
export type TaskRecords = {
  attempt?: number;
  startedAt?: string;
  finishedAt?: string;
  receipt?: Pick<Receipt, 'policy' | 'image' | 'requested' | 'effective' | 'mounts'>;
  cached?: RecordData<'task.cached'>;
  artifacts: Artifact[];
};

/** What its records say of a whole run. Everything in a statement comes from here or the plan. */
export type RunRecords = {
  id: RunId;
  submittedAt: string;
  snapshot?: Digest;
  plan?: Digest;
  policy?: { name: string; digest?: Digest };
  image?: { reference: string; id: Digest };
  intent?: string;
  lockfiles: { kind: string; digest: Digest; packages: number }[];
  tasks: Map<string, TaskRecords>;
  first: number;
  last: number;
  records: number;
  /** Of its lines, each with its line feed: of `records.jsonl` of an extract. */
  sha256: string;
  /** `root` is that of the tree up to and with this record, in base64. */
  closed?: { seq: number; hash: string; at: string; outcome: string; root: string };
};

/** Reads the records of a run once, in order. None where there are none. */
export async function recordsOf(
  { log, rootAt }: { log: Pick<Log, 'read'>; rootAt: (size: number) => Promise<Buffer> },
  id: RunId,
): Promise<RunRecords | undefined> {
  const digest = createHash('sha256');
  let run: RunRecords | undefined;
  for await (const { record, line, hash } of log.read({ run: id })) {
    const { seq, ts } = record;
    run ??= {
      id,
      submittedAt: ts,
      lockfiles: [],
      tasks: new Map(),
      first: seq,
      last: seq,
      records: 0,
      sha256: '',
    };
    digest.update(line).update('\n');
    run.last = seq;
    run.records += 1;
    take(run, record as AnyRecord, hash);
  }
  if (run === undefined) return undefined;
  run.sha256 = digest.digest('hex');
  if (run.closed) run.closed.root = (await rootAt(run.closed.seq + 1)).toString('base64');
  return run;
}

function take(run: RunRecords, record: AnyRecord, hash: string): void {
  switch (record.type) {
    case 'run.submitted':
      run.snapshot = record.data.snapshot;
      run.policy = { name: record.data.policy };
      if (record.data.intent_commitment !== undefined) run.intent = record.data.intent_commitment;
      return;
    case 'plan.made':
    case 'plan.revised':
      run.plan = record.data.plan;
      return;
    case 'run.accepted':
      run.policy = { name: run.policy?.name ?? '', digest: record.data.policy };
      return;
    case 'image.resolved':
      run.image = { reference: record.data.reference, id: record.data.id };
      return;
    case 'provision.requested': {
      const { kind, lockfile: digest, packages } = record.data;
      run.lockfiles.push({ kind, digest, packages });
      return;
    }
    case 'run.closed':
      run.closed = { seq: record.seq, hash, at: record.ts, outcome: record.data.outcome, root: '' };
      return;
    default:
      takeOfTask(run, record);
  }
}

function takeOfTask(run: RunRecords, record: AnyRecord): void {
  const id = record.obj?.['task'];
  if (id === undefined) return;
  const task = run.tasks.get(id) ?? { artifacts: [] };
  run.tasks.set(id, task);
  switch (record.type) {
    case 'task.started':
      // What an attempt before it left does not count.
      run.tasks.set(id, {
        attempt: record.data.attempt,
        startedAt: record.ts,
        artifacts: [],
      });
      return;
    case 'sandbox.receipt': {
      const { policy, image, requested, effective, mounts } = record.data;
      task.receipt = { policy, image, requested, effective, mounts };
      return;
    }
    case 'attempt.adopted':
    case 'attempt.ended':
      task.artifacts = [];
      return;
    case 'artifact.collected':
      task.artifacts.push({ ...record.data, task: id });
      return;
    case 'task.cached':
      task.cached = record.data;
      return;
    case 'task.finished':
      task.finishedAt = record.ts;
      // It failed after all, or was cut off: what it left is not an output of it.
      if (record.data.outcome !== 'succeeded') task.artifacts = [];
      return;
    default:
  }
}
