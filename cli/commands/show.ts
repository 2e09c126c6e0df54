import { leftOutSentence } from '#contract/left-out.ts';
import { refusalLines, revisionSentence } from '#contract/replan.ts';
import type { RunView, TaskView } from '#contract/run.ts';
import { triedLine } from '#contract/planning.ts';
import { rehearsedLine } from '#contract/tools.ts';
import { formatDuration, formatSize } from '#contract/units.ts';
import type { Command } from '../context.ts';
import { hintLines } from '../run/hints.ts';
import { headline, howItEnded } from '../run/summary.ts';
import {
  askWords,
  blockedWords,
  comesFrom,
  earlierAttempts,
  etaWords,
  failureLines,
  flakyWords,
  retryWords,
} from '../run/task-words.ts';
import { taskWords } from '../run-words.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

export const show: Command = async ({ print, client }, [id = '']) => {
  const daemon = await client();
  const view = await daemon.call('runShow', { params: { id } });
  if (print.json) {
    print.object(view);
    return 0;
  }
  print.line(headline(view, print.out));
  const facts: [string, string | undefined][] = [
    ['Intent', view.intent],
    ['Workspace', view.workspace],
    ['Snapshot', view.snapshot],
    ['Policy', view.policy.name],
    ['Plan', view.plan],
    ['Planner', view.planner],
    ...(view.tried ?? []).map((one): [string, string] => ['', triedLine(one)]),
    ...(view.rehearsed ?? []).map((one): [string, string] => ['', rehearsedLine(one)]),
    ...(view.warned ?? []).map((one): [string, string] => ['Beware', one]),
    ['Image', view.image],
    ['Submitted', `${view.submittedAt} by ${view.submittedBy}`],
    ['Goes on from', view.continues && `${view.continues.run} (${view.continues.mode})`],
    ['Continued by', view.continuedBy],
    ['Paused', view.paused && pausedFact(view.paused)],
    ['Left', view.etaMs === undefined ? undefined : etaWords(view.etaMs)],
    ['Audit', `${view.audit.records} records, #${view.audit.first} to #${view.audit.last}`],
    ['Exit', view.exitCode === undefined ? undefined : String(view.exitCode)],
    ['Reason', view.reason],
    ['Pruned', prunedLine(view.pruned)],
  ];
  const said = facts.filter(
    (fact): fact is [string, string] => fact[1] !== undefined && fact[1] !== '',
  );
  for (const line of table(said)) print.line(line);
  for (const one of view.revisions ?? []) print.line(`  ${safe(revisionSentence(one))}`);
  for (const one of view.replanRefused ?? []) {
    for (const [i, line] of refusalLines(one).entries()) {
      print.line(`  ${i === 0 ? '' : '  '}${safe(line)}`);
    }
  }
  for (const reason of view.reasons) print.line(`  ${safe(reason)}`);
  const nowMs = Date.now();
  const rows = view.tasks.map((task) => [
    `${taskWords[task.state].icon} ${task.id}`,
    taskWords[task.state].word,
    task.durationMs === undefined ? '' : formatDuration(task.durationMs),
    task.memoryPeakBytes === undefined ? '' : formatSize(task.memoryPeakBytes),
    noteOf(view.id, task, nowMs),
  ]);
  for (const [at, line] of table(rows).entries()) {
    print.line(line);
    const task = view.tasks[at];
    if (task === undefined) continue;
    for (const each of earlierAttempts(task)) print.line(`    ${each}`);
    for (const each of failureLines(task.failure)) print.line(`    ${each}`);
    for (const note of task.leftOut ?? []) print.line(`    ${safe(leftOutSentence(note))}`);
    for (const hint of hintLines(task.hints)) print.line(`    ${hint}`);
  }
  return 0;
};

function pausedFact({ kind, by, since, reason }: NonNullable<RunView['paused']>): string {
  return `${kind} by ${by} since ${since}: ${reason}`;
}

function noteOf(run: string, task: TaskView, nowMs: number): string {
  switch (task.state) {
    case 'approval':
    case 'question':
      return askWords(run, task);
    case 'waiting':
    case 'running':
      return task.title;
    case 'succeeded':
      return flakyWords(task) ?? task.title;
    case 'cached':
      return comesFrom(task) ?? task.title;
    case 'retry_wait':
      return retryWords(task, nowMs);
    case 'blocked':
      return blockedWords(task);
    default:
      return howItEnded(task);
  }
}

function prunedLine(pruned: RunView['pruned']): string | undefined {
  if (pruned === undefined) return undefined;
  const why = pruned.why === 'budget' ? 'for the disk budget' : 'as no longer kept';
  return `${pruned.at} by ${pruned.by}, ${why}; its content is gone, its records are not`;
}
