import { cutText } from '../../base/text.ts';
import { errorRules } from './error-rules.ts';
import type { AttemptFacts, Classified, Rule } from './facts.ts';
import { limitRules } from './limit-rules.ts';
import { onTask, stepsOf } from './next-steps.ts';
import { stopRules } from './stop-rules.ts';
import { taskRules } from './task-rules.ts';

/**
 * In the order in which they are asked: what was done to the attempt, what Orchestra itself saw, and
 * last what the task says of itself. The ids are part of the log and never change their meaning.
 */
export const failureRules: readonly Rule[] = [
  ...stopRules,
  ...errorRules,
  ...limitRules,
  ...taskRules,
];

/**
 * Why an attempt failed and what to do about it: the first rule that knows it. Pure. The rules about
 * output read what a hostile task chose to print, so all that they decide is whether this very task
 * is tried again, out of its own budget.
 */
export function classify(facts: AttemptFacts): Classified {
  const rule = failureRules.find(({ when }) => when(facts)) ?? fallback;
  const component = rule.component?.(facts);
  return {
    class: rule.class,
    rule: rule.id,
    next: stepsOf(rule.next(facts)),
    ...(component === undefined ? {} : { component: cutText(component, 128) }),
  };
}

const fallback: Rule = {
  id: 'unknown',
  class: 'unknown',
  when: () => true,
  next: (facts) => [
    `see what it said: ${onTask('logs', facts)}`,
    `see what it was allowed: ${onTask('explain', facts)}`,
    'write `retries: 1` into the task where it may pass another time',
  ],
};
