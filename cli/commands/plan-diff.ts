import { exitCodes } from '#contract/errors.ts';
import { formatDuration } from '#contract/units.ts';
import type { Command, Context } from '../context.ts';
import { flagOption } from '../options.ts';
import { planDifference, type Capability, type PlanDifference } from '../plan/difference.ts';
import { readSide, type Side } from '../plan/side.ts';
import { safe } from '../terminal/clean.ts';

const namedMax = 8;

/** What differs between two plans, each of a file or of a run: what they may do comes first. */
export const planDiff: Command = async (context, [first = '', second = ''], options) => {
  const { print } = context;
  const from = await readSide(first, context);
  const to = await readSide(second, context);
  const difference = planDifference(from, to);
  const code =
    flagOption(options, 'exitCode') && !difference.same ? exitCodes.differs : exitCodes.ok;
  if (print.json) {
    print.object({ from: headOf(from), to: headOf(to), ...difference });
    return code;
  }
  print.line(`from  ${titleOf(from)}`);
  print.line(`to    ${titleOf(to)}`);
  if (difference.same) print.line('No difference.');
  else for (const line of linesOf(context, difference)) print.line(line);
  return code;
};

function headOf({ label, kind, digest, tasks }: Side): object {
  return { label, kind, ...(digest === undefined ? {} : { digest }), tasks: tasks.length };
}

function titleOf({ label, digest, tasks }: Side): string {
  const count = tasks.length === 1 ? '1 task' : `${tasks.length} tasks`;
  return `${safe(label)}  ${count}${digest === undefined ? '' : `  ${digest}`}`;
}

function* linesOf({ print }: Context, difference: PlanDifference): Generator<string> {
  const { capabilities, tasks, edges, outcome, durations } = difference;
  const { green, red, yellow } = print.out;
  const added = (text: string) => green(`  + ${text}`);
  const removed = (text: string) => red(`  - ${text}`);
  const changed = (text: string) => yellow(`  ~ ${text}`);
  const section = function* (title: string, lines: readonly string[]) {
    if (lines.length > 0) yield title;
    yield* lines;
  };
  const mark = { added, removed, changed };
  yield* section(
    'What it may do',
    capabilities.map((one) => mark[one.change](capabilityWords(one))),
  );
  yield* section('Tasks', [
    ...tasks.added.map((id) => added(safe(id))),
    ...tasks.removed.map((id) => removed(safe(id))),
    ...tasks.renamed.map((one) => changed(`${safe(one.from)} is called ${safe(one.to)}`)),
    ...tasks.changed.flatMap(({ id, fields }) => [
      changed(safe(id)),
      ...fields.map(({ field, from, to }) => `      ${field}: ${shown(from)} → ${shown(to)}`),
    ]),
  ]);
  yield* section('Order', [
    ...edges.added.map((edge) => added(`${safe(edge.task)} waits for ${safe(edge.waits_for)}`)),
    ...edges.removed.map((edge) => removed(`${safe(edge.task)} waits for ${safe(edge.waits_for)}`)),
  ]);
  yield* section(
    'What became of it',
    outcome.map(({ id, from, to }) => changed(`${safe(id)}: ${from} → ${to}`)),
  );
  if (durations !== undefined) {
    yield `took ${formatDuration(durations.from_ms)} → ${formatDuration(durations.to_ms)}`;
  }
}

function capabilityWords({ what, name, tasks, from, to }: Capability): string {
  const whose =
    tasks.length === 0
      ? ''
      : `  (${tasks.slice(0, namedMax).map(safe).join(', ')}${tasks.length > namedMax ? `, ${tasks.length - namedMax} more` : ''})`;
  const change = from === undefined ? '' : `: ${safe(from)} → ${safe(to ?? '')}`;
  const words = name === what ? what : `${what} ${safe(name)}`;
  return `${words}${change}${whose}`;
}

function shown(text: string): string {
  return text === '' ? '(none)' : safe(text);
}
