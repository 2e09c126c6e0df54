import type { Digest } from '#contract/ids.ts';
import type { DraftTask } from '#contract/plan.ts';
import { digestOf } from '../../base/canonical.ts';

/**
 * What a task is, whatever it is called: all that says what it does. Not what it waits for, what
 * people are told of it, its limits and how often it is tried.
 */
export function specHash(task: DraftTask): Digest {
  return digestOf({
    tool: task.tool,
    args: task.args,
    env: sorted(task.env.map(({ name, value }) => `${name}=${value}`)),
    cwd: task.cwd,
    inputs: task.inputs,
    outputs: task.outputs,
    sideEffects: task.sideEffects,
    secrets: sorted(task.secrets),
  });
}

export type FailureFacts = { spec: Digest; class: string; line: string };

/** The same for the same failure of the same task, in this run and in others. */
export function fingerprintOf({ spec, class: kind, line }: FailureFacts): Digest {
  return digestOf({ spec, class: kind, line: normalised(line) });
}

/** The line of an output that says what went wrong: the last that looks like it, or the last. */
export function errorLine(tail: string): string {
  const lines = tail
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^at\s|^npm (?:error|ERR!)|^Node\.js v/.test(line));
  const telling = lines.findLast((line) =>
    /\b(?:error|failed|failure|fatal|cannot|missing|not found|no such|denied)\b/i.test(line),
  );
  return (telling ?? lines.at(-1) ?? '').slice(0, lineMax);
}

const lineMax = 300;

/** Without what differs from one attempt to the next: times, numbers, addresses, digests. */
function normalised(line: string): string {
  return line
    .slice(0, lineMax)
    .replace(/0x[0-9a-f]+|\b[0-9a-f]{8,}\b/gi, '#')
    .replace(/\d+/g, '#')
    .replace(/\s+/g, ' ');
}

function sorted(words: readonly string[]): string[] {
  return words.toSorted();
}
