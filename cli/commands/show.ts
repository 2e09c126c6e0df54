import { leftOutSentence } from '#contract/left-out.ts';
import { formatDuration, formatSize } from '#contract/units.ts';
import type { Command } from '../context.ts';
import { hintLines } from '../run/hints.ts';
import { howItEnded } from '../run/summary.ts';
import { runWords, taskWords } from '../run-words.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

export const show: Command = async ({ print, client }, [id = '']) => {
  const daemon = await client();
  const view = await daemon.call('runShow', { params: { id } });
  if (print.json) {
    print.object(view);
    return 0;
  }
  const { icon, word, style } = runWords[view.state];
  const took = view.durationMs === undefined ? '' : ` after ${formatDuration(view.durationMs)}`;
  print.line(`${print.out[style](`${icon} ${view.id} ${word}`)}${took}`);
  const facts: [string, string | undefined][] = [
    ['Intent', view.intent],
    ['Workspace', view.workspace],
    ['Snapshot', view.snapshot],
    ['Policy', view.policy.name],
    ['Plan', view.plan],
    ['Planner', view.planner],
    ['Image', view.image],
    ['Submitted', `${view.submittedAt} by ${view.submittedBy}`],
    ['Audit', `${view.audit.records} records, #${view.audit.first} to #${view.audit.last}`],
    ['Exit', view.exitCode === undefined ? undefined : String(view.exitCode)],
    ['Reason', view.reason],
  ];
  const said = facts.filter(
    (fact): fact is [string, string] => fact[1] !== undefined && fact[1] !== '',
  );
  for (const line of table(said)) print.line(line);
  for (const reason of view.reasons) print.line(`  ${safe(reason)}`);
  const rows = view.tasks.map((task) => [
    `${taskWords[task.state].icon} ${task.id}`,
    taskWords[task.state].word,
    task.durationMs === undefined ? '' : formatDuration(task.durationMs),
    task.memoryPeakBytes === undefined ? '' : formatSize(task.memoryPeakBytes),
    task.state === 'succeeded' || task.state === 'waiting' ? task.title : howItEnded(task),
  ]);
  for (const [at, line] of table(rows).entries()) {
    print.line(line);
    const task = view.tasks[at];
    for (const note of task?.leftOut ?? []) print.line(`    ${safe(leftOutSentence(note))}`);
    for (const hint of hintLines(task?.hints)) print.line(`    ${hint}`);
  }
  return 0;
};
