import { expect, test } from 'vitest';
import type { Plan } from '#contract/plan.ts';
import { RunCheckpoint } from '#contract/run.ts';
import type { AnyEntry } from '#daemon/audit/types.ts';
import { checkpointOf } from '#daemon/runs/checkpoint.ts';
import { Checkpoints } from '#daemon/runs/checkpoints.ts';
import type { RunsDeps } from '#daemon/runs/deps.ts';
import type { AcceptedRun } from '#daemon/runs/open-run.ts';
import { RunStates } from '#daemon/runs/state.ts';
import {
  artifactCollected,
  layerSealed,
  someDigest,
  someRun,
  submitted,
  taskFinished,
  taskStarted,
} from '#test/support/records.ts';

const plan = {
  tasks: ['build', 'lint', 'test', 'pack'].map((id) => ({ id })),
} as unknown as Plan;

test('checkpoints come at most once a second, and always at the end', async () => {
  const states = new RunStates();
  for (const record of [submitted(), taskStarted('build')]) states.fold(record);
  let now = 0;
  const appended: AnyEntry[] = [];
  const deps = {
    states,
    clock: { now: () => 0, mono: () => now, boot: '' },
    signer: { sign: (checkpoint: object) => Promise.resolve(checkpoint) },
    blobs: { put: () => Promise.resolve({ digest: someDigest('e'), bytes: 1 }) },
    log: { appendAll: (entries: AnyEntry[]) => Promise.resolve(appended.push(...entries)) },
  } as unknown as RunsDeps;
  const run = { id: someRun, plan, planDigest: someDigest('c'), policy: { digest: '' } };
  const checkpoints = new Checkpoints(deps, run as unknown as AcceptedRun);
  checkpoints.taskEnded();
  now = 1_100_000;
  for (let ended = 0; ended < 100; ended += 1) checkpoints.taskEnded();
  const last = await checkpoints.last();
  expect(appended.map(({ type }) => type)).toEqual(['checkpoint.saved']);
  expect(last.map(({ type }) => type)).toEqual(['checkpoint.saved']);
});

test('a checkpoint names what is done, with its digests, and everything else as pending', () => {
  const states = new RunStates();
  for (const record of [
    submitted(),
    taskStarted('build'),
    layerSealed('build', 'a'),
    artifactCollected('build', 'dist'),
    taskFinished('build', 'succeeded'),
    taskStarted('lint'),
    artifactCollected('lint', 'findings'),
    taskFinished('lint', 'failed'),
    taskStarted('test'),
    layerSealed('test', 'b'),
  ]) {
    states.fold(record);
  }
  const run = states.find(someRun);
  if (!run) throw new Error('there is no run');
  const digests = { plan: someDigest('c'), policy: someDigest('d') };
  const checkpoint = checkpointOf(run, plan, digests, '2026-01-01T00:00:00.000Z');
  expect(checkpoint).toEqual({
    version: 1,
    run_id: someRun,
    checkpoint_at: '2026-01-01T00:00:00.000Z',
    completed_tasks: ['build'],
    pending_tasks: ['lint', 'test', 'pack'],
    plan: someDigest('c'),
    policy: someDigest('d'),
    snapshot: run.snapshot,
    // What was sealed by a task whose end nobody recorded is not done.
    layers: { build: someDigest('a') },
    outputs: { 'build/dist': '3'.repeat(64) },
    state_snapshot: { build: 'succeeded', lint: 'failed', test: 'running', pack: 'waiting' },
    workspace: run.workspace,
    concurrency: run.concurrency,
    timeout_ms: run.timeoutMs,
    results: { build: expect.objectContaining({ attempt: 1, layer: someDigest('a') }) as object },
  });
  const signature = { key: someDigest('e'), public_key: '', sig: '' };
  expect(RunCheckpoint.parse({ ...checkpoint, signature })).toEqual({ ...checkpoint, signature });
});
