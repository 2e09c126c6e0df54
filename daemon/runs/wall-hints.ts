import { endingLimits, limitSentence, limitWords } from '#contract/limits.ts';
import type { Hint } from '#contract/hints.ts';
import { hintById } from '../sandbox/hints.ts';
import type { TaskFacts } from './state.ts';

/** The limit that ended a task: on record, so no guess. */
export function limitHint(task: TaskFacts): Hint | undefined {
  const { limit } = task;
  if (limit === undefined) return undefined;
  const word = limitWords[endingLimits[limit]];
  const rule = `limits.${word}`;
  const remedy =
    hintById(rule)?.remedy ??
    `ask for more \`${word}\` in the limits of the task, up to what the policy allows`;
  const { limitAllowed: allowed, limitPeak: peak } = task;
  const title =
    allowed === undefined
      ? `the limit ${word} ended it`
      : limitSentence({ limit, allowed, ...(peak === undefined ? {} : { peak }) });
  return { id: rule, rule, basis: 'record', title, remedy };
}

/** A sandbox that was broken out of, or a call that the filter kills for. */
export function violationHint(task: TaskFacts): Hint | undefined {
  if (task.state !== 'violated' || task.signal !== 'SIGSYS') return undefined;
  const entry = hintById('seccomp.killed');
  if (entry === undefined) return undefined;
  const { id, rule, title } = entry;
  const remedy =
    'no policy allows these calls (docs/SECURITY.md lists them): if an honest program made one, run it without that feature, or not here';
  return { id, rule, basis: 'record', title, remedy };
}
