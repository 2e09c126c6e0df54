import type { Failure, FailureClass } from '#contract/run.ts';

/** Attempts after the first that a task gets for what is not its fault, whatever its plan says. */
export const oursMax = 3;

/** How much of each budget is used up, as the log has it. */
export type UsedRetries = { task: number; ours: number };

export type RetryDecision =
  | { retry: true; afterMs: number; budget: 'task' | 'ours'; left: number }
  | { retry: false; why: 'class' | 'spent' | 'side_effects' };

export type RetryAsk = {
  failure: Pick<Failure, 'class' | 'rule'>;
  /** `retries` of the plan's task; undefined where it says nothing. */
  retries?: number | undefined;
  sideEffects?: boolean | undefined;
  /** Whether the task's command may have begun: a sandbox was let go. */
  began: boolean;
  used: UsedRetries;
  /** From 0 to below 1. */
  random: () => number;
};

/**
 * Whether another attempt comes, when, and who pays. Pure.
 *
 * The task pays for what may be its own fault, with the `retries` of its plan; where the plan says
 * nothing there is one for what is known to come and go: the same inputs passed before, a signal that
 * nobody sent, a port or a program that was in use. A plain exit code that no rule knows gets none:
 * in a sandbox without network the same inputs give the same answer, and a person would wait twice
 * as long to read it. What cannot come out otherwise is not tried again whatever the plan says:
 * policy, settings, compilers, limits, a full disk. A failed test is tried again only on the word of
 * the plan, which knows the tests.
 *
 * We pay for what we lost: three attempts a task, and `retries: 0` changes nothing about that.
 *
 * A task with side effects that may have begun runs twice only if its plan says `retries`.
 */
export function decideRetry(ask: RetryAsk): RetryDecision {
  const terms = termsOf(ask.failure);
  if (terms === 'never') return { retry: false, why: 'class' };
  const wanted = ask.retries ?? 0;
  const mayRepeat = ask.sideEffects !== true || !ask.began || wanted > 0;
  if (!mayRepeat) return { retry: false, why: 'side_effects' };
  const budget = terms === 'ours' ? 'ours' : 'task';
  const unasked = terms === 'ours' || ask.sideEffects === true ? 0 : terms.unasked;
  const allowed = terms === 'ours' ? oursMax : (ask.retries ?? unasked);
  const spent = ask.used[budget];
  if (allowed === 0 && budget === 'task') return { retry: false, why: 'class' };
  if (spent >= allowed) return { retry: false, why: 'spent' };
  const afterMs = backOff(budget, spent, ask.random());
  return { retry: true, afterMs, budget, left: allowed - spent - 1 };
}

type Terms = 'never' | 'ours' | { unasked: 0 | 1 };

const classTerms: Readonly<Record<FailureClass, Terms>> = {
  policy: 'never',
  config: 'never',
  code: 'never',
  denied: 'never',
  resource: 'never',
  infra_permanent: 'never',
  infra_transient: 'ours',
  timeout: { unasked: 0 },
  flaky: { unasked: 1 },
  unknown: { unasked: 0 },
};

/** Rules whose failures come to something else than those of their class. */
const ruleTerms: ReadonlyMap<string, Terms> = new Map<string, Terms>([
  ['cancelled', 'never'],
  ['run-timeout', 'never'],
  ['test-runner', { unasked: 0 }],
  ['signal', { unasked: 1 }],
  // Read from the output: what a task prints does not open our purse.
  ['address-in-use', { unasked: 1 }],
  ['text-busy', { unasked: 1 }],
]);

function termsOf({ class: of, rule }: RetryAsk['failure']): Terms {
  const terms = classTerms[of];
  // No rule name makes a denied thing a second time.
  if (of === 'policy' || of === 'config' || of === 'denied') return terms;
  return ruleTerms.get(rule) ?? terms;
}

const longestMs = 30_000;

/** What was lost is tried again soon; what is lost again may be an engine that is starting. */
const waits = {
  task: { firstMs: 1_000, times: 2, sureShare: 0 },
  ours: { firstMs: 500, times: 6, sureShare: 0.5 },
} as const;

/**
 * Longer each time, and anywhere below that: tasks that failed together come back apart. Of ours the
 * half is sure, so that all of them outlast the restart of an engine. With both budgets bounded, all
 * waiting of one task is: some three minutes at most.
 */
function backOff(budget: 'task' | 'ours', spent: number, chance: number): number {
  const { firstMs, times, sureShare } = waits[budget];
  const share = sureShare + (1 - sureShare) * chance;
  return Math.floor(Math.min(longestMs, firstMs * times ** spent) * share);
}
