import { leftOutSentence } from '#contract/left-out.ts';
import type { Plan, PlanTask } from '#contract/plan.ts';
import { triedLine } from '#contract/planning.ts';
import { refusalLines, revisionSentence } from '#contract/replan.ts';
import { rehearsedLine } from '#contract/tools.ts';
import type { RunView, TaskView } from '#contract/run.ts';
import { formatDuration, formatSize } from '#contract/units.ts';
import { escapeMarkdown as text, table } from './markdown.ts';
import { wallsMet } from './report-hints.ts';

export type ReportFacts = {
  run: RunView;
  plan: Plan | undefined;
  clamped: readonly string[];
  engine: string;
  audit: { verdict: string; head: string; size: number };
};

/** The report as Markdown: a fold over the records of the run, with the verdict of the log. */
export function reportOf(facts: ReportFacts): string {
  const { run } = facts;
  return `${[
    `# ${run.id}: ${text(run.intent)}`,
    resultLine(run),
    facets(facts),
    run.reasons.length > 0 ? `## Reasons\n\n${bullets(run.reasons)}` : '',
    tasks(run),
    revisions(run),
    wallsMet(run),
    usage(run),
    artifacts(run),
    leftOut(run),
    plan(facts),
    audit(facts),
  ]
    .filter((part) => part !== '')
    .join('\n\n')}\n`;
}

function resultLine(run: RunView): string {
  const counts = new Map<string, number>();
  for (const task of run.tasks) counts.set(task.state, (counts.get(task.state) ?? 0) + 1);
  const parts = [...counts].map(([state, n]) => `${n} ${state.replace('_', ' ')}`);
  const took = run.durationMs === undefined ? '' : ` after ${formatDuration(run.durationMs)}`;
  const exit = run.exitCode === undefined ? '' : `, exit ${run.exitCode}`;
  const reason = run.reason === undefined || run.reason === '' ? '' : `\n\n${text(run.reason)}`;
  return `**${run.state.replace('_', ' ')}**${took}${exit}: ${parts.join(', ') || 'no task ran'}${reason}`;
}

function facets({ run, engine }: ReportFacts): string {
  return table(
    ['', ''],
    [
      ['submitted', `${run.submittedAt} by ${text(run.submittedBy)}`],
      ['closed', run.closedAt ?? 'still open'],
      ['workspace', `${text(run.workspace)} (snapshot \`${run.snapshot}\`)`],
      ['policy', `${text(run.policy.name)} \`${run.policy.digest ?? 'not applied'}\``],
      ['image', text(run.image ?? 'none')],
      ['engine', text(engine)],
    ],
  );
}

function tasks(run: RunView): string {
  if (run.tasks.length === 0) return '';
  const rows = run.tasks.map((task) => [
    text(task.id),
    task.state.replace('_', ' '),
    task.durationMs === undefined ? '' : formatDuration(task.durationMs),
    task.exitCode === undefined ? '' : String(task.exitCode),
    task.limit === undefined ? '' : task.limit.replace('_', ' '),
    task.memoryPeakBytes === undefined ? '' : formatSize(task.memoryPeakBytes),
    task.cpuMs === undefined ? '' : formatDuration(task.cpuMs),
    task.outputBytes === undefined ? '' : `${formatSize(task.outputBytes)}${cut(task)}`,
    text(task.reason ?? ''),
  ]);
  const head = [
    'task',
    'result',
    'time',
    'exit',
    'limit hit',
    'peak memory',
    'cpu',
    'output',
    'why',
  ];
  return `## Tasks\n\n${table(head, rows)}`;
}

/** How the plan was changed on the way, and where it was not. */
function revisions({ revisions = [], replanRefused = [] }: RunView): string {
  if (revisions.length + replanRefused.length === 0) return '';
  const lines = [
    ...revisions.flatMap((one) => [
      `- ${text(revisionSentence(one))}`,
      ...(one.tried ?? []).map((tried) => `  - ${text(triedLine(tried))}`),
    ]),
    ...replanRefused.flatMap((one) => {
      const [first = '', ...next] = refusalLines(one);
      return [`- ${text(first)}`, ...next.map((step) => `  - ${text(step)}`)];
    }),
  ];
  return `## How the plan was changed\n\n${lines.join('\n')}`;
}

/** The most that each task used. Empty where nobody could look, or before it ended. */
function usage(run: RunView): string {
  const ended = run.tasks.filter((task) => task.memoryPeakBytes !== undefined);
  if (ended.length === 0) return '';
  const said = (value: number | undefined, words: (value: number) => string) =>
    value === undefined ? '' : words(value);
  const rows = ended.map((task) => [
    text(task.id),
    said(task.cpuMs, formatDuration),
    said(task.cpuThrottledMs, formatDuration),
    said(task.memoryPeakBytes, formatSize),
    said(task.pidsPeak, String),
    said(task.openFilesPeak, String),
    said(task.diskBytes, formatSize),
    said(task.diskFiles, String),
    said(task.tmpPeakBytes, formatSize),
  ]);
  const head = [
    'task',
    'cpu',
    'held back',
    'memory',
    'processes',
    'open files',
    'disk',
    'files',
    'tmp',
  ];
  return `## Used at most\n\n${table(head, rows)}`;
}

function cut(task: TaskView): string {
  if (!task.outputTruncated) return '';
  const dropped = task.outputDroppedBytes;
  return dropped === undefined ? ' (cut off)' : ` (cut off, ${dropped} bytes dropped)`;
}

function artifacts(run: RunView): string {
  const rows = run.tasks.flatMap((task) =>
    task.artifacts.map((artifact) => [
      text(`${task.id}/${artifact.name}`),
      text(artifact.path),
      artifact.kind,
      formatSize(artifact.bytes),
      `\`${artifact.sha256}\``,
    ]),
  );
  if (rows.length === 0) return '';
  return `## Artifacts\n\n${table(['artifact', 'path', 'kind', 'size', 'sha256'], rows)}`;
}

/** What was made and is not there, or not as it was made. */
function leftOut(run: RunView): string {
  const lines = run.tasks.flatMap((task) =>
    (task.leftOut ?? []).map((note) => `- **${text(task.id)}** ${text(leftOutSentence(note))}`),
  );
  return lines.length === 0 ? '' : `## Left out\n\n${lines.join('\n')}`;
}

function plan({ run, plan, clamped }: ReportFacts): string {
  if (!plan) return '';
  const parts = [
    `## Plan\n\n\`${run.plan ?? ''}\` by the planner ${text(run.planner ?? plan.planner)}`,
    table(['task', 'after', 'command'], plan.tasks.map(planRow)),
  ];
  const tried = run.tried?.map(triedLine) ?? [];
  if (tried.length > 0) parts.push(`Who was asked for it:\n\n${bullets(tried)}`);
  const rehearsed = run.rehearsed?.map(rehearsedLine) ?? [];
  if (rehearsed.length > 0) {
    parts.push(`An autonomous run; its programs were tried first:\n\n${bullets(rehearsed)}`);
  }
  const warned = run.warned ?? [];
  if (warned.length > 0) parts.push(`What earlier runs warned of:\n\n${bullets(warned)}`);
  if (plan.assumptions.length > 0) parts.push(`Assumptions:\n\n${bullets(plan.assumptions)}`);
  if (clamped.length > 0) parts.push(`Lowered to what the policy allows:\n\n${bullets(clamped)}`);
  return parts.join('\n\n');
}

function planRow(task: PlanTask): string[] {
  return [text(task.id), text(task.deps.join(', ')), text(task.command.join(' '))];
}

function audit({ run, audit: log }: ReportFacts): string {
  return [
    '## Audit',
    `Records ${run.audit.first} to ${run.audit.last} of the log, ${run.audit.records} of them of this run.`,
    `Log: ${text(log.verdict)}; ${log.size} records, head \`${log.head}\`.`,
  ].join('\n\n');
}

function bullets(items: readonly string[]): string {
  return items.map((item) => `- ${text(item)}`).join('\n');
}
