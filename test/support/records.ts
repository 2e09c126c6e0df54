import type { Digest } from '#contract/ids.ts';
import type { AnyRecord, RecordData, RecordType } from '#contract/records.ts';

export const someDigest = (digit: string): Digest => `sha256:${digit.repeat(64)}`;
export const someRun = 'r-0000000000';

/** A record of a run as a fold sees it, with the next number of `log`. */
export function note<T extends RecordType>(
  type: T,
  data: RecordData<T>,
  more: Partial<Pick<AnyRecord, 'run' | 'obj' | 'actor' | 'seq' | 'ts'>> = {},
): AnyRecord {
  return {
    v: 1,
    seq: 0,
    prev: '0'.repeat(64),
    ts: '2026-01-01T00:00:00.000Z',
    mono: 0,
    boot: 'boot',
    type,
    stage: 'note',
    outcome: 'ok',
    sev: 'info',
    actor: { kind: 'daemon', auth: 'self' },
    run: someRun,
    data,
    ...more,
  } as unknown as AnyRecord;
}

export const submitted = (run = someRun) =>
  note(
    'run.submitted',
    {
      intent: 'try it',
      snapshot: someDigest('1'),
      policy: 'default',
      concurrency: 1,
      timeout_ms: 1000,
      workspace: 'demo',
    },
    { run, actor: { kind: 'user', auth: 'peer', uid: 1000, name: 'ada' } },
  );

export const taskStarted = (task: string, attempt = 1) =>
  note('task.started', { attempt, spec: someDigest('2') }, { obj: { task } });

export const taskFinished = (
  task: string,
  outcome: RecordData<'task.finished'>['outcome'],
  more: Partial<RecordData<'task.finished'>> = {},
) =>
  note(
    'task.finished',
    {
      attempt: 1,
      outcome,
      duration_ms: 5,
      cpu_ms: 3,
      memory_peak_bytes: 1024,
      output_bytes: 2,
      output_truncated: false,
      ...more,
    },
    { obj: { task } },
  );

export const layerSealed = (task: string, digit: string) =>
  note(
    'layer.sealed',
    { attempt: 1, layer: someDigest(digit), entries: 1, bytes: 1 },
    { obj: { task } },
  );

export const artifactCollected = (task: string, name: string) =>
  note(
    'artifact.collected',
    { name, path: `${name}.txt`, sha256: '3'.repeat(64), bytes: 7, kind: 'file' },
    { obj: { task } },
  );

export const runClosed = (outcome: RecordData<'run.closed'>['outcome'], run = someRun) =>
  note(
    'run.closed',
    { outcome, records: 9, artifacts: 0, duration_ms: 9, exit_code: 2, reason: 'why' },
    { run },
  );
