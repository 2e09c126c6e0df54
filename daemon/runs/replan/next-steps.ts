import type { replanRefusals } from '#contract/replan.ts';
import { onRun, onTask, stepsOf } from '../failures/next-steps.ts';

/** What a person can do where nobody will look for another way any more. */
export function nextSteps(
  run: string,
  task: string,
  code: (typeof replanRefusals)[number],
  known: readonly string[],
): string[] {
  const facts = { run, task, attempt: 0, outcome: 'failed' as const };
  return stepsOf([
    `see what it said: ${onTask('logs', facts)} --tail 50`,
    ...known.slice(0, 3),
    code === 'no_way'
      ? 'no planner knew another way within what the first plan was allowed'
      : code === 'limit'
        ? 'the plan was changed as often as it may be'
        : 'the plan was changed for this very failure, and it came again',
    `mend it and go on: ${onRun('resume', run)}`,
  ]);
}
