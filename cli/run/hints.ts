import type { Hint } from '#contract/hints.ts';
import { safe } from '../terminal/clean.ts';

/**
 * The walls that a task met, as lines under it. Says of each what it rests on: a task prints what it
 * likes, so a reading of its output is never more than a guess.
 */
export function hintLines(hints: readonly Hint[] | undefined): string[] {
  return (hints ?? []).flatMap((hint) => {
    const guess = hint.basis === 'output' ? ' (a guess from its output)' : '';
    return [
      `${safe(hint.rule)}: ${safe(hint.title)}${guess}`,
      ...(hint.line === undefined ? [] : [`  said: ${safe(hint.line)}`]),
      `  do: ${safe(hint.remedy)}`,
    ];
  });
}
