import type { DecisionSeen, PolicyExplanation, RuleSeen } from '#contract/policy-tools.ts';
import { formatDuration } from '#contract/units.ts';
import type { Command, Context } from '../context.ts';
import { countOption } from '../options.ts';
import { safe } from '../terminal/clean.ts';
import { table } from '../terminal/text.ts';

/** Which rule of which document decided what of a run, and what all the others came to. */
export const policyExplain: Command = async (context, [id = '', task], options) => {
  const { print } = context;
  const client = await context.client();
  const limit = countOption(options, 'limit', { min: 1, max: 500 });
  const answer = await client.call('policyExplain', {
    params: { id },
    query: {
      ...(task === undefined ? {} : { task }),
      ...(limit === undefined ? {} : { limit }),
    },
  });
  if (print.json) print.object(answer);
  else show(context, answer, { isOne: task !== undefined });
  return 0;
};

function show(
  { print }: Context,
  { run, policy, documents, tasks, total }: PolicyExplanation,
  { isOne }: { isOne: boolean },
): void {
  const digest = policy.digest === undefined ? '' : ` ${policy.digest}`;
  print.line(`Run       ${run}`);
  print.line(`Policy    ${safe(policy.name)}${digest}`);
  for (const { name, digest: of, rules, in_force: inForce } of documents) {
    const said = rules === 0 ? 'lists' : `${rules} rules`;
    const aside = inForce ? '' : ', not in force any more';
    print.line(`Document  ${safe(name)} ${of} (${said}${aside})`);
  }
  if (tasks.length === 0) print.line('Decisions none on record: it ended before a task was judged');
  for (const { task, decisions } of tasks) {
    print.line();
    print.line(print.out.bold(safe(task)));
    for (const decision of decisions) showDecision(print, decision, { isOne });
    if (decisions.length === 0) print.line('  no decision is on record');
  }
  if (total > tasks.length) {
    print.note(`${total - tasks.length} more tasks: --limit, or name one`);
  }
  const whole = tasks.find(({ decisions }) => decisions.some(({ source }) => source === 'kept'));
  if (!isOne && whole !== undefined) {
    print.note(`every rule and its value: orchestra policy explain ${run} ${safe(whole.task)}`);
  }
}

function showDecision(
  print: Context['print'],
  decision: DecisionSeen,
  { isOne }: { isOne: boolean },
): void {
  const { out } = print;
  const { effect, moment, seq, attempt, profiles, ask, source, because, reasons } = decision;
  const colour = { allow: out.green, deny: out.red, ask: out.yellow }[effect];
  const when = moment === 'submitted' ? 'when it was submitted' : 'on the exact sandbox';
  const times = attempt === undefined ? '' : `, attempt ${attempt}`;
  print.line(`  ${colour(effect.toUpperCase())} ${when}${times}, record #${seq}`);
  const chosen = profiles.filter(({ profile }) => profile !== 'standard');
  if (chosen.length > 0) {
    const words = chosen.map(({ document, profile }) => `${safe(profile)} of ${safe(document)}`);
    print.line(`    profile ${words.join(', ')}`);
  }
  if (ask !== undefined) print.line(`    needs ${askInWords(ask)}`);
  const rules = isOne ? decision.rules : decision.rules.filter(({ decides }) => decides);
  for (const line of ruleLines(rules, isOne)) print.line(`    ${line}`);
  for (const rule of rules.filter(({ decides }) => decides)) {
    if (rule.reason === '') continue;
    print.line(`    ${safe(rule.document)}/${safe(rule.id)}: ${safe(rule.reason)}`);
  }
  for (const reason of reasons) print.line(`    ${safe(reason)}`);
  if (source === 'differs') {
    print.line(out.red(`    asked again on what was kept, it comes to something else`));
  }
  if (because !== undefined) print.line(out.dim(`    ${safe(because)}`));
}

function ruleLines(rules: readonly RuleSeen[], isAll: boolean): string[] {
  if (rules.length === 0) return [];
  const rows = rules.map((rule) => [
    rule.decides ? '→' : ' ',
    `${rule.document}/${rule.id}`,
    rule.effect,
    ...(isAll ? [rule.value] : []),
    `line ${rule.line}`,
    shortDigest(rule.digest),
  ]);
  return table(rows);
}

function shortDigest(digest: string): string {
  return digest.slice(0, 19);
}

function askInWords({ approvals, from, self, expires_ms: ms }: NonNullable<DecisionSeen['ask']>) {
  const who = from.map((list) => list.map(safe).join(' or ')).join(', and of ');
  const own = self ? '' : ', not of who submitted it';
  const count = approvals === 1 ? '1 approval' : `${approvals} approvals`;
  return `${count} of ${who}${own}, within ${formatDuration(ms)}`;
}
