import { limitSentence } from '#contract/limits.ts';
import { revisionSentence } from '#contract/replan.ts';
import type { RunView, TaskState, TaskView } from '#contract/run.ts';
import { formatDuration, formatSize } from '#contract/units.ts';
import type { Client } from '../client/client.ts';
import type { Context } from '../context.ts';
import { exitWords } from '../exit-meanings.ts';
import { isBad, runWords } from '../run-words.ts';
import { safe, TerminalCleaner } from '../terminal/clean.ts';
import type { Print, Styles } from '../terminal/print.ts';
import { hintLines } from './hints.ts';
import { taskOutput } from './task-output.ts';
import { comesFrom, earlierAttempts, failureLines, flakyWords } from './task-words.ts';
import { openStates } from './tree.ts';

const failuresShown = 5;
const linesShown = 12;
const attemptsShown = 5;
const tailBytes = 256 * 1024;

export type End = {
  view: RunView;
  exit: number;
  reportDir: string | undefined;
  verdict: string | undefined;
};

/** What stays on the screen when a run is over; the most important comes last. */
export async function printSummary(context: Context, client: Client, end: End): Promise<void> {
  const { print } = context;
  const { view, exit } = end;
  const { out } = print;
  print.line(headline(view, out));
  if (view.continues !== undefined) print.line(`  goes on from ${view.continues.run}`);
  for (const reason of reasonsOf(view)) print.line(`  ${safe(reason)}`);
  for (const one of view.revisions ?? []) print.line(`  ${safe(revisionSentence(one))}`);
  const bad = view.tasks.filter((task) => isBad(task.state) && task.superseded === undefined);
  for (const task of bad.slice(0, failuresShown)) await printFailure(context, client, view, task);
  if (bad.length > failuresShown) print.line(`  … ${bad.length - failuresShown} more failed`);
  printFlaky(print, view.tasks);
  const artifacts = view.tasks.flatMap((task) => task.artifacts);
  if (artifacts.length > 0) {
    const bytes = artifacts.reduce((sum, each) => sum + each.bytes, 0);
    const names = artifacts.slice(0, 4).map((each) => safe(each.name));
    const more = artifacts.length > 4 ? ', …' : '';
    print.line(`Outputs ${artifacts.length} (${names.join(', ')}${more}), ${formatSize(bytes)}`);
  }
  if (end.reportDir !== undefined) print.line(`Report  ${safe(end.reportDir)}/report.md`);
  if (end.verdict !== undefined) print.line(`Audit   ${end.verdict}`);
  const next = nextSteps(view, bad, artifacts.length > 0);
  for (const [at, step] of next.entries()) print.line(`${at === 0 ? 'Next' : '    '}    ${step}`);
  if (exit !== 0) print.line(out.dim(`exit ${exit}, ${exitWords[exit] ?? 'failed'}`));
}

/** How a run stands, in one line: state, time, what became of its tasks. */
export function headline(view: RunView, styles: Styles): string {
  const { icon, word, style } = runWords[view.state];
  const took = view.durationMs === undefined ? '' : ` after ${formatDuration(view.durationMs)}`;
  const counts = countsOf(view.tasks);
  return `${styles[style](`${icon} ${view.id} ${word}`)}${took}${counts === '' ? '' : `: ${counts}`}`;
}

function countsOf(tasks: readonly TaskView[]): string {
  const of = (...states: TaskState[]) => tasks.filter((task) => states.includes(task.state)).length;
  const cached = of('cached');
  return (
    [
      [of('succeeded', 'cached'), cached === 0 ? 'ok' : `ok (${cached} cached)`],
      [of('failed', 'timed_out', 'violated'), 'failed'],
      [of('skipped', 'cancelled', ...openStates), 'not finished'],
      [of('unknown'), 'unknown'],
    ] as const
  )
    .filter(([count]) => count > 0)
    .map(([count, word]) => `${count} ${word}`)
    .join(', ');
}

function reasonsOf(view: RunView): string[] {
  if (view.state === 'succeeded' || view.state === 'failed') return view.reasons;
  return view.reasons.length > 0 ? view.reasons : view.reason === undefined ? [] : [view.reason];
}

async function printFailure(
  context: Context,
  client: Client,
  view: RunView,
  task: TaskView,
): Promise<void> {
  const { print } = context;
  print.line(`  ${print.out.bold(safe(task.id))}  ${howItEnded(task)}`);
  for (const line of earlierAttempts(task).slice(-attemptsShown)) print.line(`    ${line}`);
  for (const line of failureLines(task.failure)) print.line(`    ${line}`);
  for (const line of hintLines(task.hints)) print.line(`    ${line}`);
  if (task.output === undefined) return;
  for (const line of await lastLines(context, client, view.id, task.id)) print.line(`    ${line}`);
}

function printFlaky(print: Print, tasks: readonly TaskView[]): void {
  const flaky = tasks.filter((task) => task.flaky === true && !isBad(task.state));
  for (const task of flaky.slice(0, failuresShown)) {
    print.line(`  ${print.out.yellow(safe(task.id))}  ${flakyWords(task) ?? ''}`);
  }
  if (flaky.length > failuresShown) print.line(`  … ${flaky.length - failuresShown} more flaky`);
}

/** How a task ended, in words: exit 1, killed by SIGKILL, over its memory limit. */
export function howItEnded(task: TaskView): string {
  const parts = [
    hitOf(task),
    task.exitCode === undefined ? undefined : `exit ${task.exitCode}`,
    task.signal === undefined ? undefined : `killed by ${safe(task.signal)}`,
    task.reason === undefined ||
    task.reason === `exit ${task.exitCode}` ||
    task.limitAllowed !== undefined
      ? undefined
      : safe(task.reason),
    comesFrom(task),
    task.attempt > 1 ? `attempt ${task.attempt}` : undefined,
    task.durationMs === undefined ? undefined : formatDuration(task.durationMs),
  ];
  return parts.filter((part) => part !== undefined).join(', ');
}

function hitOf({ limit, limitAllowed, limitPeak }: TaskView): string | undefined {
  if (limit === undefined) return undefined;
  if (limitAllowed === undefined) return `over its ${limit.replace('_', ' ')} limit`;
  return limitSentence({ limit, allowed: limitAllowed, peak: limitPeak });
}

async function lastLines(
  context: Context,
  client: Client,
  run: string,
  task: string,
): Promise<string[]> {
  // Cleaning looks at every character, so of a long output only the end is cleaned.
  const kept: Uint8Array[] = [];
  let bytesKept = 0;
  try {
    for await (const { bytes } of taskOutput(client, run, task)) {
      kept.push(bytes);
      bytesKept += bytes.length;
      for (let rest = bytesKept - (kept[0]?.length ?? 0); rest >= tailBytes;) {
        kept.shift();
        bytesKept = rest;
        rest -= kept[0]?.length ?? 0;
      }
    }
  } catch {
    return ['(its output could not be read)'];
  }
  const cleaner = new TerminalCleaner({ colour: context.print.colour.out });
  const tail = cleaner.push(Buffer.concat(kept).subarray(-tailBytes));
  const lines = (tail + cleaner.end()).trimEnd().split('\n');
  return lines.slice(-linesShown);
}

function nextSteps(view: RunView, bad: readonly TaskView[], hasArtifacts: boolean): string[] {
  const steps: string[] = [];
  const [first] = bad;
  if (first !== undefined) steps.push(`orchestra logs ${view.id} ${safe(first.id)} --tail 40`);
  if (view.state === 'succeeded') {
    steps.push(`orchestra diff ${view.id}`);
    if (hasArtifacts) steps.push(`orchestra artifacts ls ${view.id}`);
    steps.push(`orchestra apply ${view.id}`);
  } else {
    steps.push(`orchestra show ${view.id}`);
    if (canGoOn(view)) steps.push(`orchestra resume ${view.id}  (${keepsAndRuns(view.tasks)})`);
  }
  return steps;
}

/** A run that was refused has no plan to go on with, and one that went on elsewhere is done with. */
function canGoOn({ state, continuedBy, tasks }: RunView): boolean {
  return state !== 'refused' && continuedBy === undefined && tasks.length > 0;
}

function keepsAndRuns(tasks: readonly TaskView[]): string {
  const kept = tasks.filter(({ state }) => state === 'succeeded' || state === 'cached').length;
  return `keeps ${kept}, runs ${tasks.length - kept}`;
}
