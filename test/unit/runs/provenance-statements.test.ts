import { expect, test } from 'vitest';
import type { Plan } from '#contract/plan.ts';
import type { RunRecords, TaskRecords } from '#daemon/runs/provenance/gather.ts';
import { statementsOf } from '#daemon/runs/provenance/statements.ts';
import { someDigest } from '#test/support/records.ts';

const origin = 'here';
const dist = { task: 'build', name: 'dist', path: 'd', sha256: 'd'.repeat(64), bytes: 1 };
const artifacts = [{ ...dist, kind: 'file' as const }];
const receipt = {
  policy: { name: 'default', digest: someDigest('1') },
  image: { reference: 'node', id: someDigest('2'), origin: 'assembled' },
  requested: someDigest('3'),
  effective: someDigest('4'),
  mounts: [{ layers: [someDigest('5'), someDigest('6')] }],
} as unknown as NonNullable<TaskRecords['receipt']>;
const cached = {
  from_run: 'r-1111111111',
  from_task: 'made',
  attempt: 2,
  why: 'resumed',
  layer: someDigest('7'),
  output_bytes: 0,
  output_truncated: false,
  duration_ms: 1,
} as const;

const plan = (...provisions: 'npm'[]): Plan =>
  ({
    planner: 'rules',
    tasks: [
      { id: 'build', args: [], command: ['x'], env: { B: '1', A: '2' }, outputs: [], provisions },
    ],
  }) as unknown as Plan;

function runWith(task: Partial<TaskRecords>, id = 'r-0000000000'): RunRecords {
  return {
    id,
    submittedAt: '2026-01-01T00:00:00.000Z',
    snapshot: someDigest('5'),
    plan: someDigest('8'),
    lockfiles: [{ kind: 'npm', digest: someDigest('9'), packages: 3 }],
    tasks: new Map([['build', { artifacts, ...task }]]),
    first: 1,
    last: 5,
    records: 5,
    sha256: 'a'.repeat(64),
    closed: { seq: 5, hash: 'b'.repeat(64), at: '', outcome: 'succeeded', root: '' },
  };
}

const ofTask = (run: RunRecords, its = plan(), earlier = new Map<string, RunRecords>()) =>
  statementsOf({ origin, run, plan: its, earlier })[1]?.predicate;

test('a run that left nothing has no statement', () => {
  const run = runWith({ artifacts: [] });
  expect(statementsOf({ origin, run, plan: plan(), earlier: new Map() })).toEqual([]);
});

test('values of variables are in no statement, their names are', () => {
  const statements = statementsOf({
    origin,
    run: runWith({ receipt }),
    plan: plan(),
    earlier: new Map(),
  });
  expect(ofTask(runWith({ receipt }))?.buildDefinition.externalParameters).toMatchObject({
    task: { env_names: ['A', 'B'] },
  });
  expect(JSON.stringify(statements)).not.toContain('"B":"1"');
});

test('a task that had no packages does not depend on the lockfile, one that had does', () => {
  const names = (its: Plan) =>
    ofTask(runWith({ receipt }), its)?.buildDefinition.resolvedDependencies.map(({ name }) => name);
  expect(names(plan())).toEqual(['image', 'snapshot', 'plan', 'layer']);
  expect(names(plan('npm'))).toEqual(['image', 'snapshot', 'plan', 'layer', 'lockfile/npm']);
});

test('what was taken from a run that this log does not know claims no sandbox of this one', () => {
  const predicate = ofTask(runWith({ cached }));
  expect(predicate?.runDetails.metadata).toEqual({ invocationId: 'r-1111111111' });
  expect(predicate?.buildDefinition.internalParameters).not.toHaveProperty('sandbox');
  expect(predicate?.buildDefinition.internalParameters).toMatchObject({
    taken_from: { run: 'r-1111111111', task: 'made', attempt: 2 },
    taken_by: 'r-0000000000',
  });
});

test('what was taken from a run that is still open names it, and none of its records yet', () => {
  const { closed: _closed, ...made } = runWith({ receipt, attempt: 2 }, 'r-1111111111');
  made.tasks.set('made', { receipt, attempt: 2, artifacts: [] });
  const predicate = ofTask(runWith({ cached }), plan(), new Map([[made.id, made]]));
  expect(predicate?.buildDefinition.internalParameters).toMatchObject({
    sandbox: { effective: receipt.effective },
  });
  expect(predicate?.runDetails.byproducts.map(({ name }) => name)).toEqual([
    'records/r-0000000000',
    'log/r-0000000000',
  ]);
});
