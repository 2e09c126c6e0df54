import { OrchestraError } from '#contract/errors.ts';
import { endingLimits, type Limits } from '#contract/limits.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { RecordData } from '#contract/records.ts';
import type { OutputTail } from '../../sandbox/output-tail.ts';
import { classify } from './classify.ts';
import type { AttemptFacts } from './facts.ts';
import { decideRetry, type UsedRetries } from './retry.ts';
import { failureTail } from './tail.ts';

type Ended = Pick<
  RecordData<'attempt.ended'>,
  'attempt' | 'outcome' | 'exit_code' | 'signal' | 'limit' | 'hints'
>;

export type EndedAttempt = {
  run: string;
  task: Pick<PlanTask, 'id' | 'command' | 'limits' | 'retries' | 'sideEffects'>;
  /** What its record says, or will say. */
  ended: Ended;
  /** Why Orchestra could not go on with it. */
  error?: unknown;
  tail?: Pick<OutputTail, 'text'> | undefined;
  /** The most that was seen of the limit that ended it. */
  peak?: number | undefined;
  /** What the policy allows at most. */
  most?: Limits | undefined;
  passedIn?: string | undefined;
  /** Whether its command may have begun. */
  began: boolean;
  used: UsedRetries;
  random: () => number;
};

/**
 * What the log has to say after an attempt that did not succeed: why, and when the next one comes,
 * where one does. Without `retry` this was the task's last word.
 */
export type AfterFailure = {
  failure: RecordData<'failure.classified'>;
  retry?: RecordData<'retry.scheduled'>;
};

export function afterFailure(over: EndedAttempt): AfterFailure {
  const { class: of, rule, next } = classify(factsOf(over));
  const failure = { class: of, rule, next };
  const { attempt } = over.ended;
  const { retries, sideEffects } = over.task;
  const { began, used, random } = over;
  const decided = decideRetry({ failure, retries, sideEffects, began, used, random });
  return {
    failure: { attempt, ...failure },
    ...(decided.retry
      ? {
          retry: {
            attempt: attempt + 1,
            after_ms: decided.afterMs,
            budget: decided.budget,
            left: decided.left,
          },
        }
      : {}),
  };
}

/**
 * The component that an error blames, for its circuit. `runtime` is the one that was in use; leave it
 * out where it is known that the engine itself went away.
 */
export function blamed(error: unknown, runtime?: string): string | undefined {
  if (!(error instanceof OrchestraError)) return undefined;
  const facts = { run: '', task: '', attempt: 0, outcome: 'failed' } as const;
  return classify({ ...facts, errorCode: error.code, runtime }).component;
}

function factsOf({ run, task, ended, error, tail, peak, most, passedIn }: EndedAttempt) {
  const { limit: name } = ended;
  const key = name === undefined ? undefined : endingLimits[name];
  const facts: AttemptFacts = {
    run,
    task: task.id,
    attempt: ended.attempt,
    outcome: ended.outcome,
    exitCode: ended.exit_code,
    signal: ended.signal,
    limit:
      name === undefined || key === undefined
        ? undefined
        : { name, allowed: task.limits[key], peak, most: most?.[key] },
    errorCode: error instanceof OrchestraError ? error.code : undefined,
    hints: ended.hints,
    tail: tail && failureTail(tail),
    passedIn,
    program: task.command[0],
  };
  return facts;
}
