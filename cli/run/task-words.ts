import type { AttemptView, Failure, TaskView } from '#contract/run.ts';
import { formatDuration } from '#contract/units.ts';
import { safe } from '../terminal/clean.ts';

/** Where the result of a task came from that did not run itself. */
export function comesFrom({ id, from }: TaskView): string | undefined {
  if (from === undefined) return undefined;
  const task = from.task === id ? '' : ` (${safe(from.task)})`;
  return `${from.why === 'cache' ? 'same as in' : 'kept from'} ${safe(from.run)}${task}`;
}

/** `attempt 2, 1 ended with exit 1`: nothing where there was only one. */
export function attemptWords({ attempt, attempts }: TaskView): string | undefined {
  const last = attempts?.at(-1);
  if (last === undefined) return attempt > 1 ? `attempt ${attempt}` : undefined;
  const ended = `${last.attempt} ${howAttemptEnded(last)}`;
  // Between two attempts the last one is the one that ended.
  return last.attempt === attempt ? `attempt ${ended}` : `attempt ${attempt}, ${ended}`;
}

/** A line for each attempt before the last one. */
export function earlierAttempts({ attempts = [] }: TaskView): string[] {
  return attempts.map((each) => {
    const took = each.durationMs === undefined ? '' : `, ${formatDuration(each.durationMs)}`;
    const kind = each.failure === undefined ? '' : `, ${failureWord(each.failure)}`;
    return `attempt ${each.attempt} ${howAttemptEnded(each)}${took}${kind}`;
  });
}

function howAttemptEnded({ outcome, exitCode, reason }: AttemptView): string {
  if (outcome === 'lost') return 'was lost';
  const word = outcome.replace('_', ' ');
  const own = reason === undefined || reason === `exit ${exitCode}` ? undefined : safe(reason);
  if (outcome === 'failed') return own ?? (exitCode === undefined ? word : `exit ${exitCode}`);
  return own === undefined ? word : `${word} (${own})`;
}

/** `tries again in 4s`, counted down. */
export function retryWords(task: TaskView, nowMs: number): string {
  const last = task.attempts?.at(-1);
  const why = last === undefined ? '' : `, ${last.attempt} ${howAttemptEnded(last)}`;
  const leftMs = task.retryAt === undefined ? 0 : Date.parse(task.retryAt) - nowMs;
  const when = leftMs > 0 ? `in ${formatSeconds(leftMs)}` : 'now';
  return `attempt ${(last?.attempt ?? task.attempt) + 1} ${when}${why}`;
}

export function blockedWords({ blockedBy, reason }: TaskView): string {
  const why = reason === undefined ? '' : `: ${safe(reason)}`;
  return blockedBy === undefined ? `for what it needs${why}` : `for ${safe(blockedBy)}${why}`;
}

/** What a person would type to let it go on. */
export function askWords(run: string, { id, asks = [] }: Pick<TaskView, 'id' | 'asks'>): string {
  const question = asks.find(({ kind }) => kind === 'question')?.question;
  return question === undefined
    ? `orchestra approve ${run} ${safe(id)}`
    : `orchestra answer ${run} ${safe(question)}`;
}

/** A task that passed only after it had failed with the same inputs. */
export function flakyWords(task: TaskView): string | undefined {
  if (task.flaky !== true) return undefined;
  const first = task.attempts?.find(({ outcome }) => outcome !== 'lost');
  return first === undefined
    ? 'flaky: with the same inputs it failed before'
    : `flaky: attempt ${first.attempt} ${howAttemptEnded(first)}`;
}

/** What kind of failure it was, by which rule, and what to do: lines under a task. */
export function failureLines(failure: Failure | undefined): string[] {
  if (failure === undefined) return [];
  return [
    `${failureWord(failure)} (rule ${safe(failure.rule)})`,
    ...failure.next.slice(0, nextMax).map((step) => `  do: ${safe(step)}`),
  ];
}

const nextMax = 3;

function failureWord({ class: kind }: Failure): string {
  return classWords[kind];
}

const classWords: Readonly<Record<Failure['class'], string>> = {
  code: 'code: what the task checks is not right',
  config: 'config: the task is not set up right',
  policy: 'policy: it met a wall',
  resource: 'resource: it needs more than it has',
  timeout: 'timeout: it took too long',
  infra_transient: 'infra: not its own fault, and may pass',
  infra_permanent: 'infra: not its own fault, and stays until somebody mends it',
  flaky: 'flaky: it passes at times',
  denied: 'denied: somebody said no, or nobody said yes in time',
  unknown: 'unknown: nothing says whose fault it was',
};

/** `about 3m left`, rounded to what a guess is worth; nothing once it is over the time. */
export function etaWords(leftMs: number): string | undefined {
  if (leftMs <= 0) return undefined;
  const seconds = Math.ceil(leftMs / 1000);
  if (seconds < 60) return `about ${Math.ceil(seconds / 5) * 5}s left`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 60) return `about ${minutes}m left`;
  return `about ${formatDuration(minutes * 60_000)} left`;
}

function formatSeconds(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  return seconds < 60 ? `${seconds}s` : formatDuration(seconds * 1000);
}
