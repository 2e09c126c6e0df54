import { exitCodes, OrchestraError } from '#contract/errors.ts';
import type { DryRunAnswer } from '#contract/policy-tools.ts';
import type { Command, Context } from '../context.ts';
import { countOption, flagOption, textOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';
import { policyReference } from './policy-diff.ts';

/** Which of the tasks on record a policy would decide otherwise. */
export const policyDryRun: Command = async (context, [given = ''], options) => {
  const { print } = context;
  const client = await context.client();
  const runs = countOption(options, 'runs', { min: 1, max: 10_000 });
  const since = sinceOption(textOption(options, 'since'));
  const answer = await client.call('policyDryRun', {
    body: {
      policy: await policyReference(context.cwd, given),
      ...(runs === undefined ? {} : { runs }),
      ...(since === undefined ? {} : { since }),
    },
  });
  if (print.json) print.object(answer);
  else show(context, answer);
  const isSame = answer.changed_total === 0;
  return !isSame && flagOption(options, 'exitCode') ? exitCodes.differs : exitCodes.ok;
};

const dayMs = 24 * 3600 * 1000;
const unitMs: Readonly<Record<string, number>> = { h: 3600 * 1000, d: dayMs, w: 7 * dayMs };

/** `30d`, `12h`, `2w` before now, or a time as ISO 8601 has it. */
function sinceOption(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const [, count, unit] = /^(\d{1,4})([hdw])$/.exec(text) ?? [];
  const ms =
    count === undefined || unit === undefined
      ? Date.parse(text)
      : Date.now() - Number(count) * (unitMs[unit] ?? dayMs);
  if (Number.isFinite(ms)) return new Date(ms).toISOString();
  throw new OrchestraError('usage.invalid', `--since ${text} is not a time`, {
    hint: 'write 12h, 30d, 2w or 2026-01-31',
  });
}

function show({ print }: Context, answer: DryRunAnswer): void {
  const { out } = print;
  const { policy, runs, tasks, same, changed, unknown, changed_total: total } = answer;
  print.line(`Policy    ${safe(policy.name)} ${policy.digest}`);
  print.line(`Judged    ${counted(tasks, 'task')} of ${counted(runs, 'run')} on record`);
  print.line(`As before ${same}`);
  const sums = [
    [answer.denied, 'would now be denied', out.red],
    [answer.asked, 'would now be asked for', out.yellow],
    [answer.allowed, 'would now be allowed', out.green],
  ] as const;
  for (const [count, words, colour] of sums) {
    if (count > 0) print.line(colour(`Changed   ${counted(count, 'task')} ${words}`));
  }
  if (total === 0) print.line(out.green('Changed   nothing'));
  if (answer.by_rule.length > 0) print.line();
  const byRule = answer.by_rule.map(({ rule, line, effect, tasks: n }) => [
    rule,
    `line ${line}`,
    effect,
    counted(n, 'task'),
  ]);
  for (const line of table(byRule)) print.line(line);
  if (changed.length > 0) {
    print.line();
    const rows = changed.map((one) => [
      one.run,
      one.task,
      `${one.before} → ${one.after}`,
      one.by,
      one.reason,
    ]);
    for (const line of table([['RUN', 'TASK', 'CHANGE', 'RULE', 'REASON'], ...rows])) {
      print.line(line);
    }
    if (total > changed.length) print.note(`and ${total - changed.length} more`);
  }
  for (const { why, runs: n, tasks: m } of unknown) {
    const what = m > 0 ? `${counted(m, 'task')} of ${counted(n, 'run')}` : counted(n, 'run');
    print.line(out.yellow(`Unknown   ${what}: ${safe(why)}`));
  }
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
