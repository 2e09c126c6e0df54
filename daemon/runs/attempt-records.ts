import type { Digest } from '#contract/ids.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { AnyEntry } from '../audit/types.ts';
import { cutText } from '../base/text.ts';
import type { OutputTail } from '../sandbox/output-tail.ts';
import type { SealedLayer } from '../workspace/layers.ts';
import type { RunsDeps } from './deps.ts';
import { layerLeftOut } from './left-out.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';
import { stopOf } from './stop.ts';
import { stopped, type Verdict } from './verdict.ts';

/** One attempt that is over: its verdict, and what makes its layer count. */
export type Attempt = {
  attempt: number;
  verdict: Verdict;
  sealed: AnyEntry[];
  output: Digest | undefined;
  durationMs: number;
  tail: OutputTail;
  /** Its command may have begun. */
  began: boolean;
  error: unknown;
};

export function finished(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  ended: Attempt,
): AnyEntry {
  const { outcome } = ended.verdict;
  const action = deps.states.find(run.id)?.tasks.get(task.id)?.action;
  const isFlaky = outcome === 'succeeded' && deps.flaky.hasFailed(action);
  return taskEntry(run, task.id, {
    type: 'task.finished',
    outcome: outcome === 'succeeded' ? 'ok' : 'failed',
    data: { ...wordsOf(run, ended), outcome, ...(isFlaky ? { flaky: true } : {}) },
  });
}

export function attemptEnded(run: AcceptedRun, task: PlanTask, ended: Attempt): AnyEntry {
  return taskEntry(run, task.id, {
    type: 'attempt.ended',
    outcome: 'failed',
    data: wordsOf(run, ended),
  });
}

export function wordsOf(run: AcceptedRun, { attempt, verdict, output, durationMs }: Attempt) {
  return {
    attempt,
    cpu_ms: 0,
    memory_peak_bytes: 0,
    output_bytes: 0,
    output_truncated: false,
    ...verdict,
    ...(verdict.reason === undefined ? {} : { reason: run.secrets.masked(verdict.reason) }),
    ...(output === undefined ? {} : { output }),
    duration_ms: durationMs,
  };
}

/** The next daemon goes on with the run. */
export function isLeft(signal: AbortSignal): boolean {
  return stopOf(signal)?.kind === 'daemon_leaving';
}

export function unknownNow(run: AcceptedRun, task: PlanTask, attempt: number): AnyEntry {
  const reason = 'the engine does not answer';
  return taskEntry(run, task.id, {
    type: 'attempt.unknown',
    outcome: 'unknown',
    sev: 'warn',
    data: { attempt, reason },
  });
}

export function neverRan(run: AcceptedRun, task: PlanTask, signal: AbortSignal): AnyEntry {
  const reason = cutText(stopOf(signal)?.message ?? 'the run was stopped', 256);
  return taskEntry(run, task.id, { type: 'task.skipped', data: { reason } });
}

export function cancelledBetween(
  run: AcceptedRun,
  task: PlanTask,
  { attempt }: Pick<Attempt, 'attempt'>,
  signal: AbortSignal,
): AnyEntry {
  return taskEntry(run, task.id, {
    type: 'task.finished',
    outcome: 'failed',
    data: {
      attempt,
      ...stopped(signal),
      duration_ms: 0,
      cpu_ms: 0,
      memory_peak_bytes: 0,
      output_bytes: 0,
      output_truncated: false,
    },
  });
}

export function sealedEntries(
  run: AcceptedRun,
  task: PlanTask,
  attempt: number,
  sealed: SealedLayer,
): AnyEntry[] {
  const { digest: layer, entries, bytes } = sealed;
  return [
    taskEntry(run, task.id, {
      type: 'layer.sealed',
      data: { attempt, layer, entries, bytes },
    }),
    ...layerLeftOut(run, task, { ...sealed, attempt }),
  ];
}
