import { exitCodes } from '#contract/errors.ts';
import type { RunState, TaskState } from '#contract/run.ts';
import type { Styles } from './terminal/print.ts';

type Word = { icon: string; word: string; style: keyof Styles };

/** How a task's state is shown: always icon, word and colour, so that none of them is needed. */
export const taskWords: Readonly<Record<TaskState, Word>> = {
  waiting: { icon: '·', word: 'waiting', style: 'dim' },
  approval: { icon: '‖', word: 'approval', style: 'yellow' },
  question: { icon: '‖', word: 'question', style: 'yellow' },
  blocked: { icon: '‖', word: 'blocked', style: 'yellow' },
  running: { icon: '▸', word: 'running', style: 'cyan' },
  retry_wait: { icon: '↻', word: 'retrying', style: 'yellow' },
  succeeded: { icon: '✔', word: 'ok', style: 'green' },
  cached: { icon: '✔', word: 'cached', style: 'green' },
  failed: { icon: '✗', word: 'failed', style: 'red' },
  timed_out: { icon: '✗', word: 'timed out', style: 'red' },
  violated: { icon: '✗', word: 'violated', style: 'red' },
  cancelled: { icon: '■', word: 'cancelled', style: 'yellow' },
  skipped: { icon: '»', word: 'skipped', style: 'yellow' },
  unknown: { icon: '?', word: 'unknown', style: 'yellow' },
};

export const runWords: Readonly<Record<RunState, Word>> = {
  submitted: { icon: '·', word: 'submitted', style: 'dim' },
  planning: { icon: '▸', word: 'planning', style: 'cyan' },
  running: { icon: '▸', word: 'running', style: 'cyan' },
  paused: { icon: '‖', word: 'paused', style: 'yellow' },
  cancelling: { icon: '■', word: 'cancelling', style: 'yellow' },
  succeeded: { icon: '✔', word: 'succeeded', style: 'green' },
  failed: { icon: '✗', word: 'failed', style: 'red' },
  timed_out: { icon: '✗', word: 'timed out', style: 'red' },
  violated: { icon: '✗', word: 'violated', style: 'red' },
  cancelled: { icon: '■', word: 'cancelled', style: 'yellow' },
  refused: { icon: '✗', word: 'refused', style: 'red' },
  unknown: { icon: '?', word: 'unknown', style: 'yellow' },
};

export function isOver(state: RunState): boolean {
  return !['submitted', 'planning', 'running', 'paused', 'cancelling'].includes(state);
}

export function isBad(state: TaskState): boolean {
  return state === 'failed' || state === 'timed_out' || state === 'violated';
}

/** The exit code of a run: its own, or what its state says when the daemon did not. */
export function exitOf(run: { state: RunState; exitCode?: number | undefined }): number {
  return run.exitCode ?? byState[run.state];
}

const byState: Readonly<Record<RunState, number>> = {
  submitted: exitCodes.bug,
  planning: exitCodes.bug,
  running: exitCodes.bug,
  paused: exitCodes.bug,
  cancelling: exitCodes.bug,
  succeeded: exitCodes.ok,
  failed: exitCodes.taskFailed,
  timed_out: exitCodes.timeout,
  violated: exitCodes.violation,
  cancelled: exitCodes.denied,
  refused: exitCodes.config,
  unknown: exitCodes.taskFailed,
};
