import { OrchestraError } from '#contract/errors.ts';
import { limitSentence } from '#contract/limits.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { RecordData } from '#contract/records.ts';
import { cutText } from '../base/text.ts';
import type { SandboxResult } from '../sandbox/sandbox.ts';
import { violationSentence } from '../sandbox/violation.ts';
import { peaksOf } from './peaks.ts';
import { stopOf } from './stop.ts';

type Ended = RecordData<'attempt.ended'>;
/** What is said of an attempt that is over, beside its number and how long it took. */
export type Verdict = Pick<RecordData<'task.finished'>, 'outcome'> & Partial<Ended>;

export function judge(result: SandboxResult, task: PlanTask, signal: AbortSignal): Verdict {
  const facts: Omit<Verdict, 'outcome'> = {
    ...peaksOf(result),
    output_bytes: result.outputBytes,
    output_truncated: result.outputTruncated,
    ...(result.outputTruncated ? { output_dropped_bytes: result.outputDroppedBytes } : {}),
    ...(result.exitCode === undefined ? {} : { exit_code: result.exitCode }),
    ...(result.signal === undefined ? {} : { signal: result.signal }),
    ...(result.limit === undefined ? {} : { limit: result.limit }),
  };
  const { violation } = result;
  if (violation) return { ...facts, outcome: 'violated', reason: violationSentence(violation) };
  switch (result.outcome) {
    case 'exited':
      if (result.exitCode === 0) return { ...facts, outcome: 'succeeded' };
      return { ...facts, outcome: 'failed', reason: exitReason(result, task) };
    case 'timed_out':
      return {
        ...facts,
        outcome: 'timed_out',
        reason: result.exceeded ? limitSentence(result.exceeded) : 'took too long',
      };
    case 'limit':
      return {
        ...facts,
        outcome: 'failed',
        reason: result.exceeded ? limitSentence(result.exceeded) : 'went over a limit',
      };
    case 'cancelled':
      return { ...facts, ...stopped(signal) };
  }
}

function exitReason(result: SandboxResult, task: PlanTask): string {
  // A shell that is there exits with it for a program that is not.
  if (result.exitCode === 127) {
    return `exit 127: ${task.command[0] ?? ''}, or a program that it starts, is not in the image`;
  }
  return `exit ${result.exitCode ?? 'unknown'}`;
}

export function stopped(signal: AbortSignal): Pick<Verdict, 'outcome' | 'reason'> {
  const stop = stopOf(signal);
  return {
    outcome: stop?.kind === 'timed_out' ? 'timed_out' : 'cancelled',
    reason: cutText(stop?.message ?? 'cancelled', 512),
  };
}

/** What went wrong around the task: its own fault or ours, in any case a result of this task. */
export function verdictOf(error: unknown, signal: AbortSignal): Verdict {
  const isViolation = error instanceof OrchestraError && error.facts.exit === 4;
  if (signal.aborted && !isViolation) return stopped(signal);
  if (!(error instanceof OrchestraError)) throw error;
  const places = error.places.map((place) => place.message).join('; ');
  return {
    outcome: isViolation ? 'violated' : 'failed',
    reason: cutText(`${error.code}: ${error.message}${places === '' ? '' : ` (${places})`}`, 512),
  };
}
