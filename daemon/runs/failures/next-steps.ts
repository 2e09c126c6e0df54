import { RunId, TaskId } from '#contract/ids.ts';
import { endingLimits, limitWords, spellLimits } from '#contract/limits.ts';
import { cutText } from '../../base/text.ts';
import { plainLine } from '../../sandbox/hints.ts';
import type { AttemptFacts, LimitHit } from './facts.ts';

const linesMax = 8;
const lineMax = 256;

/** At most eight lines of at most 256 characters, none of which can steer a terminal. */
export function stepsOf(lines: readonly (string | undefined)[]): string[] {
  return lines
    .filter((line) => line !== undefined)
    .map((line) => cutText(plainLine(line), lineMax))
    .filter((line) => line !== '')
    .slice(0, linesMax);
}

/** A command about this task, to be copied: a name that is none becomes a placeholder. */
export function onTask(verb: 'explain' | 'logs' | 'retry', { run, task }: AttemptFacts): string {
  return `orchestra ${verb} ${runWord(run)} ${TaskId.safeParse(task).success ? task : 'TASK'}`;
}

export function onRun(verb: 'resume' | 'show' | 'fork', run: string): string {
  return `orchestra ${verb} ${runWord(run)}`;
}

/** A word of the plan in a sentence; undefined where it is not plainly a name. */
export function plainName(word: string | undefined): string | undefined {
  return word !== undefined && /^[\w.+@/-]{1,64}$/.test(word) ? word : undefined;
}

/** How to ask for more of a limit: the key, with a value that is worth trying. */
export function raiseLimit(hit: LimitHit): string {
  const name = endingLimits[hit.name];
  const key = limitWords[name];
  const spelt = (value: number) =>
    `limits: { ${key}: ${String(Object.values(spellLimits({ [name]: value }))[0])} }`;
  if (hit.allowed === undefined) {
    return `ask for more \`${key}\` in the limits of the task, up to what the policy allows`;
  }
  if (hit.most !== undefined && hit.allowed >= hit.most) {
    return `the policy allows no more \`${key}\` than that: orchestra policy show`;
  }
  let value = hit.allowed * 2;
  while (value < (hit.peak ?? 0)) value *= 2;
  const wanted = Math.min(value, hit.most ?? Number.MAX_SAFE_INTEGER);
  const bound = hit.most === undefined ? ', up to what the policy allows' : '';
  return `write ${spelt(wanted)} into the task${bound}`;
}

function runWord(run: string): string {
  return RunId.safeParse(run).success ? run : 'RUN';
}
