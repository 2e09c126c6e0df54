import type { Judged } from './judge.ts';

/** A task that did what only an attack does, as far as it can be seen from outside. */
export type Violation = { kind: 'syscall'; rule: 'seccomp'; evidence: string };

/**
 * The filter of system calls kills a process that makes a call which no honest build makes; a task
 * whose command ends like that is a violation. The word of an exit code: a task that exits with 159
 * by itself accuses nobody but itself.
 *
 * Not seen from here: a child that the filter killed while the task went on. The kernel tells
 * nobody but its parent.
 */
export function violationOf(
  judged: Pick<Judged, 'outcome' | 'exitCode' | 'signal'>,
): Violation | undefined {
  if (judged.signal !== 'SIGSYS') return undefined;
  if (judged.outcome !== 'exited' && judged.outcome !== 'limit') return undefined;
  return { kind: 'syscall', rule: 'seccomp', evidence: `exit ${judged.exitCode ?? ''}: SIGSYS` };
}

/** For the record of the task and whoever reads it. */
export function violationSentence({ rule, evidence }: Violation): string {
  return `the filter of system calls (${rule}) killed it for a call that no build makes (${evidence})`;
}
