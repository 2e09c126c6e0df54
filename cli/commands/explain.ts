import { OrchestraError } from '#contract/errors.ts';
import type { Setting, TaskReceipt } from '#contract/explain.ts';
import type { Client } from '../client/client.ts';
import type { Command, Context } from '../context.ts';
import { countOption } from '../options.ts';
import { hintLines } from '../run/hints.ts';
import { comesFrom } from '../run/task-words.ts';
import { explainPlan } from './explain-plan.ts';
import { isBad } from '../run-words.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

/** Why the sandbox of a task was as it was, setting by setting, or why there was none. */
export const explain: Command = async (context, [id = '', named], options) => {
  const { print } = context;
  // No id begins like that: an `l` is in none.
  if (id === 'plan') return explainPlan(context, named ?? '@last');
  const client = await context.client();
  const task = named ?? (await onlyTask(client, id));
  const attempt = countOption(options, 'attempt', { min: 1, max: 1_000_000 });
  const answer = await client.call('taskReceipt', {
    params: { id, task },
    ...(attempt === undefined ? {} : { query: { attempt } }),
  });
  if (print.json) print.object(answer);
  else {
    show(context, answer);
    if (answer.state === 'cached') await showOrigin(context, client, answer);
  }
  return 0;
};

/** The task that was meant where none was named: the only one, or the first that failed. */
async function onlyTask(client: Client, id: string): Promise<string> {
  const { tasks } = await client.call('runShow', { params: { id } });
  const meant = tasks.length === 1 ? tasks[0] : tasks.find(({ state }) => isBad(state));
  if (meant !== undefined) return meant.id;
  const names = tasks.slice(0, 20).map((task) => task.id);
  throw new OrchestraError('usage.invalid', 'Which task?', {
    hint: names.length === 0 ? `orchestra show ${id}` : `one of ${names.join(', ')}`,
  });
}

/** Of a task that did not run, another run can tell how it was made. */
async function showOrigin(
  { print }: Context,
  client: Client,
  { run, task }: TaskReceipt,
): Promise<void> {
  const { tasks } = await client.call('runShow', { params: { id: run } });
  const cached = tasks.find(({ id }) => id === task);
  const words = cached && comesFrom(cached);
  if (cached?.from === undefined || words === undefined) return;
  const { from } = cached;
  print.line(`Result    ${words}`);
  print.note(`orchestra explain ${safe(from.run)} ${safe(from.task)} tells how it was made`);
}

function show({ print }: Context, answer: TaskReceipt): void {
  const { receipt, settings, reasons, hints } = answer;
  const { out } = print;
  const attempt = answer.attempt > 0 ? `, attempt ${answer.attempt}` : '';
  print.line(`${out.bold(safe(answer.task))} of ${answer.run}${attempt}: ${safe(answer.state)}`);
  const policy = answer.policy.digest === undefined ? '' : ` ${answer.policy.digest}`;
  print.line(`Policy    ${safe(answer.policy.name)}${policy}`);
  if (answer.differs !== undefined) {
    print.line(`Ran anew  since ${answer.differs.since}: ${safe(answer.differs.what)}`);
  }
  if (receipt === undefined) {
    print.line('Receipt   none: no sandbox was released for it');
  } else {
    print.line(`Receipt   record #${receipt.seq}, durable before it began, hash ${receipt.hash}`);
    print.line(`Requested ${receipt.data.requested}`);
    print.line(`Effective ${receipt.data.effective}`);
  }
  if (settings.length > 0) print.line();
  for (const line of settingLines(settings))
    print.line(line.isAside ? out.dim(line.text) : line.text);
  if (reasons.length > 0) print.line();
  for (const { rule, message, change } of reasons) {
    print.line(`${rule === undefined ? '' : `${safe(rule)}: `}${safe(message)}`);
    if (change !== undefined) print.line(out.dim(`  to change it: ${safe(change)}`));
  }
  if (hints.length > 0) print.line();
  for (const line of hintLines(hints)) print.line(line);
}

/** A line for each setting, and one beneath it with what would change it. */
function settingLines(settings: readonly Setting[]): { text: string; isAside: boolean }[] {
  if (settings.length === 0) return [];
  const rows = settings.map((each) =>
    [each.name, each.requested, each.effective, each.decidedBy.join('; ')].map(shorter),
  );
  const [head = '', ...lines] = table([
    ['SETTING', 'REQUESTED', 'EFFECTIVE', 'DECIDED BY'],
    ...rows,
  ]);
  return [
    { text: head, isAside: false },
    ...lines.flatMap((text, at) => [
      { text, isAside: false },
      { text: `  to change it: ${safe(settings[at]?.change ?? '')}`, isAside: true },
    ]),
  ];
}

/** Digests by their beginning: in full they are in `--json`. */
function shorter(cell: string): string {
  return cell.replaceAll(/(sha256:[0-9a-f]{8})[0-9a-f]{56}/g, '$1…');
}
