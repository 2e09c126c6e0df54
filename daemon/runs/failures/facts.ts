import type { ErrorCode } from '#contract/errors.ts';
import type { AttemptOutcome, Failure, FailureClass, LimitName } from '#contract/run.ts';

/** What is known of an attempt that is over and did not succeed. Text in it is hostile. */
export type AttemptFacts = {
  run: string;
  task: string;
  attempt: number;
  outcome: AttemptOutcome;
  exitCode?: number | undefined;
  signal?: string | undefined;
  /** The limit that ended it; `most` is what the policy allows, where that is known. */
  limit?: LimitHit | undefined;
  /** Where Orchestra could not go on with it: the code of the error. */
  errorCode?: ErrorCode | undefined;
  /** Ids of hints that its output gave. */
  hints?: readonly string[] | undefined;
  /** The end of its output (`failureTail`); only the last 4096 characters are looked at. */
  tail?: string | undefined;
  /** The run in which the same action passed. */
  passedIn?: string | undefined;
  /** The program of its command, for what is said about a program that is missing. */
  program?: string | undefined;
  /** The runtime that its sandbox was made with, where there is a choice. */
  runtime?: string | undefined;
};

export type LimitHit = {
  name: LimitName;
  allowed?: number | undefined;
  peak?: number | undefined;
  most?: number | undefined;
};

/**
 * `component` is what is to blame, where the daemon itself saw it fail: never by what a task says,
 * or one task could close the door for all others.
 */
export type Classified = Failure & { component?: string };

/** One row of the table; the first whose `when` holds has the attempt. Its id never changes. */
export type Rule = {
  id: string;
  class: FailureClass;
  when: (facts: AttemptFacts) => boolean;
  /** What to do: a command to run, a key to change. Bounded and made harmless by `classify`. */
  next: (facts: AttemptFacts) => readonly (string | undefined)[];
  component?: (facts: AttemptFacts) => string | undefined;
};
