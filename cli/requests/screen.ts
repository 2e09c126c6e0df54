import stringWidth from 'string-width';
import { formatLimit, limitNames } from '#contract/limits.ts';
import type { RequestView, ShownApproval, ShownQuestion } from '#contract/requests.ts';
import { formatDuration, formatSize } from '#contract/units.ts';
import { quoted } from '../commands/plan.ts';
import { safe } from '../terminal/clean.ts';
import { changesSince } from './changes.ts';
import { parseShown, readShown } from './shown.ts';

export type ScreenFacts = { nowMs: number; columns: number };

const labelWidth = 10;

/**
 * Everything that an answer binds to, in lines. Whatever a plan brought along stands behind a bar,
 * on every line that it takes: no argument, however long, can look like a line of ours.
 */
export function screenOf(view: RequestView, facts: ScreenFacts): string[] {
  const shown = readShown(view);
  return shown.kind === 'approval'
    ? approvalLines(view, shown, facts)
    : questionLines(view, shown, facts);
}

function approvalLines(
  view: RequestView,
  { task, sandbox, rules, ask, grows, ...bound }: ShownApproval,
  facts: ScreenFacts,
): string[] {
  const row = (label: string, text: string) => rowOf(label, text, facts.columns);
  const own = Object.entries(sandbox.env).filter(
    ([name]) => name in task.env || name.startsWith('ANSWER_'),
  );
  const before = view.before === undefined ? undefined : parseShown(view.before.text);
  const isOdd = [...sandbox.command, ...own.flat()].some((word) => /[^\x20-\x7e]/.test(word));
  return [
    headline(`Approve ${safe(task.id)} of ${view.run}?`, view, facts),
    ...rules.flatMap((rule) =>
      row('rule', `${rule.document}/${rule.id}, line ${rule.line}: ${rule.reason}`),
    ),
    ...row('needs', termsOf(ask, view)),
    ...(grows === undefined ? [] : row('lists', growWords(grows, view))),
    ...row('task', `${task.title}${task.why === '' ? '' : `: ${task.why}`} (tool ${task.tool})`),
    ...row('image', `${sandbox.image.reference} ${sandbox.image.id} (${sandbox.image.origin})`),
    ...row('user', `${sandbox.user}, runtime ${sandbox.runtime}, network ${sandbox.network}`),
    ...row('walls', wallsOf(sandbox)),
    ...row(
      'secrets',
      sandbox.secrets.length === 0 ? 'none' : `${sandbox.secrets.join(', ')} (names only)`,
    ),
    ...row('mounts', sandbox.mounts.map(mountWords).join(', ')),
    ...row('limits', limitWords(sandbox.limits)),
    ...(task.side_effects ? row('effects', 'it changes something outside of its layer') : []),
    ...own.flatMap(([name, value]) => row('variable', `${name}=${value}`)),
    ...row('directory', sandbox.cwd),
    ...row('command', sandbox.command.map(quoted).join(' ')),
    ...(isOdd ? row('note', 'there are letters beyond ASCII, and some look like others') : []),
    ...changeLines(view, before, { task, sandbox, rules, ask, ...bound }, row),
    ...row('plan', bound.plan),
    ...row('policy', `${bound.policy.name} ${bound.policy.digest}`),
    ...row('inputs', bound.inputs),
    ...row('digest', view.shown),
  ];
}

function questionLines(
  view: RequestView,
  { task, question }: ShownQuestion,
  facts: ScreenFacts,
): string[] {
  const row = (label: string, text: string) => rowOf(label, text, facts.columns);
  return [
    headline(`${safe(task.id)} of ${view.run} asks for ${safe(question.name)}`, view, facts),
    // It is the plan that asks: nobody of ours ever wants a password.
    ...row('the plan', question.prompt),
    ...(question.choices ?? []).flatMap((choice, at) => row(at === 0 ? 'choices' : '', choice)),
    ...(question.default === undefined ? [] : row('default', question.default)),
    ...row('digest', view.shown),
  ];
}

function headline(what: string, view: RequestView, { nowMs }: ScreenFacts): string {
  const leftMs = Date.parse(view.expiresAt) - nowMs;
  const until =
    view.state !== 'open'
      ? `${view.state} ${view.closedAt ?? ''}`.trim()
      : leftMs > 0
        ? `expires in ${formatDuration(leftMs)}`
        : 'its time is over';
  return `${what}   asked by ${safe(view.askedBy)} · ${until} · ${view.id}`;
}

function termsOf(ask: ShownApproval['ask'], view: RequestView): string {
  const people = ask.approvals === 1 ? 'one person' : `${ask.approvals} different people`;
  const lists = ask.from.map((list) => list.join(' or ')).join(', and ');
  const self = ask.self ? '' : ', not who submitted it';
  const said = view.answers.filter(({ answer }) => answer === 'approve').map(({ by }) => by);
  const have = said.length === 0 ? '' : `; approved by ${said.join(', ')}`;
  return `${people}${lists === '' ? '' : `: ${lists}`}${self}${have}`;
}

/** An approval that is more than leave for one task says so. */
function growWords(
  { name, version, binary }: NonNullable<ShownApproval['grows']>,
  { askedBy }: RequestView,
): string {
  const called = version === undefined ? name : `${name} ${version}`;
  return `${called} (${binary}) of this image comes on the list of ${askedBy}, and is not asked for again`;
}

function wallsOf({ seccomp, apparmor, selinux }: ShownApproval['sandbox']): string {
  const parts = [`filter ${seccomp === 'builtin' ? seccomp : seccomp.slice(0, 19)}`];
  if (apparmor !== '') parts.push(`AppArmor ${apparmor}`);
  if (selinux !== '') parts.push(`SELinux ${selinux}`);
  return parts.join(', ');
}

function mountWords({ kind, target, readonly, bytes }: ShownApproval['sandbox']['mounts'][number]) {
  const size = bytes === undefined ? '' : ` ${formatSize(bytes)}`;
  return `${target} (${kind}${size}${readonly ? ', read-only' : ''})`;
}

function limitWords(limits: Readonly<Record<string, number>>): string {
  const words: Readonly<Record<string, string>> = {
    cpuMilli: '',
    memoryBytes: 'memory',
    pids: '',
    openFiles: '',
    fileSizeBytes: 'file size',
    diskBytes: 'disk',
    diskFiles: '',
    tmpBytes: 'tmp',
    outputBytes: 'output',
    timeoutMs: 'time',
    idleMs: 'idle',
  };
  return limitNames
    .filter((name) => limits[name] !== undefined)
    .map((name) => `${words[name] ?? name} ${formatLimit(name, limits[name] ?? 0)}`.trim())
    .join(', ');
}

function changeLines(
  view: RequestView,
  before: ShownApproval | ShownQuestion | undefined,
  now: ShownApproval,
  row: (label: string, text: string) => string[],
): string[] {
  if (view.before === undefined || before?.kind !== 'approval') {
    return row('changed', 'nothing like it was approved before');
  }
  const changes = changesSince(before, now);
  const when = `since ${view.before.run} at ${view.before.at}`;
  if (changes.length === 0) return row('changed', `nothing ${when}`);
  return [
    ...row('changed', `${changes.map(({ what }) => what).join(', ')} ${when}`),
    ...changes.flatMap(({ was, is }) => [
      ...(was === '' ? [] : row('  -', was)),
      ...(is === '' ? [] : row('  +', is)),
    ]),
  ];
}

/** A label and a text of somebody else, broken into as many lines as it takes. */
function rowOf(label: string, text: string, columns: number): string[] {
  // A terminal that does not know its width says 0.
  const room = Math.max(20, (columns > 0 ? columns : 80) - labelWidth - 5);
  const lines = broken(safe(text), room);
  return lines.map((line, at) => `  ${(at === 0 ? label : '').padEnd(labelWidth)}│ ${line}`);
}

const linesMax = 200;

function broken(text: string, room: number): string[] {
  const lines: string[] = [];
  let [line, width] = ['', 0];
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    const wide = stringWidth(segment);
    if (width + wide > room) {
      lines.push(line);
      [line, width] = ['', 0];
    }
    line += segment;
    width += wide;
  }
  lines.push(line);
  if (lines.length <= linesMax) return lines;
  const left = lines.length - linesMax;
  return [...lines.slice(0, linesMax), `… ${left} more lines: orchestra approvals ID --json`];
}
