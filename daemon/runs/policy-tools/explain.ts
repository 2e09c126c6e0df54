import type { DecisionSeen, PolicyExplanation, RuleSeen } from '#contract/policy-tools.ts';
import type { RecordOf } from '#contract/records.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { EffectivePolicy } from '../../policy/effective.ts';
import { ruleName, type Judgement } from '../../policy/judgement.ts';
import type { RunsDeps } from '../deps.ts';
import type { Runs } from '../runs.ts';
import { keptInput, Policies } from './kept.ts';
import { decisionsOf, planTask, type Decided } from './decided.ts';

type Deps = Pick<RunsDeps, 'log' | 'blobs' | 'policies'>;

/**
 * Every decision of a run, as it was recorded; of one task with every rule of every document, asked
 * again on the input that was kept. What the documents say by now makes no difference.
 */
export async function explainDecisions(
  runs: Runs,
  deps: Deps,
  at: { run: string; task?: string | undefined; limit: number },
): Promise<PolicyExplanation> {
  const run = runs.find(at.run);
  const plan = await runs.planOf(run);
  const found = await decisionsOf(deps.log, run);
  const planned = plan?.tasks.map(({ id }) => id) ?? [];
  const names = [
    ...new Set([...(found.has(planTask) ? [planTask] : []), ...planned, ...found.keys()]),
  ];
  if (at.task !== undefined && !names.includes(at.task)) {
    throw new OrchestraError('task.unknown', `${run.id} has no task ${at.task.slice(0, 64)}`, {
      hint: `orchestra policy explain ${run.id}`,
    });
  }
  const policies = new Policies(deps);
  const wanted = at.task === undefined ? names.slice(0, at.limit) : [at.task];
  const tasks: PolicyExplanation['tasks'] = [];
  for (const task of wanted) {
    const decisions: DecisionSeen[] = [];
    for (const decided of found.get(task) ?? []) {
      decisions.push(await seen(deps, policies, decided, { isAll: at.task !== undefined }));
    }
    tasks.push({ task, decisions });
  }
  const [first] = [...found.values()].flat();
  const digest = run.policy ?? first?.record.pol?.hash;
  return {
    run: run.id,
    policy: { name: run.policyName, ...(digest === undefined ? {} : { digest }) },
    documents: documentsOf(deps, digest === undefined ? undefined : await policies.read(digest)),
    tasks,
    total: at.task === undefined ? names.length : 1,
  };
}

function documentsOf(
  { policies }: Deps,
  policy: EffectivePolicy | undefined,
): PolicyExplanation['documents'] {
  const inForce = new Set(
    policies.documents().flatMap(({ policy: one }) => one.documents.map(({ digest }) => digest)),
  );
  return (policy?.documents ?? []).map(({ name, digest, rules, profiles }) => ({
    name,
    digest,
    rules: rules?.length ?? 0,
    profiles: profiles.map((profile) => profile.name),
    in_force: inForce.has(digest),
  }));
}

async function seen(
  deps: Deps,
  policies: Policies,
  { record, hash }: Decided,
  { isAll }: { isAll: boolean },
): Promise<DecisionSeen> {
  if (record.type === 'run.accepted') return accepted(record, hash);
  const digest = record.type === 'request.opened' ? record.data.policy : record.pol?.hash;
  const policy = digest === undefined ? undefined : await policies.read(digest);
  if (record.type === 'request.opened') return asked(record, hash, policy);
  const { data } = record;
  const rules = (data.rules ?? []).map((rule): RuleSeen => {
    return { ...rule, value: 'true', decides: true, reason: reasonOf(rule, policy) };
  });
  const recorded: DecisionSeen = {
    seq: record.seq,
    at: record.ts,
    hash,
    moment: data.attempt === undefined ? 'submitted' : 'used',
    ...(data.attempt === undefined ? {} : { attempt: data.attempt }),
    effect: data.decision === 'deny' ? 'deny' : data.request === undefined ? 'allow' : 'ask',
    ...(digest === undefined ? {} : { policy: digest }),
    ...(data.input === undefined ? {} : { input: data.input }),
    ...(data.spec === undefined ? {} : { spec: data.spec }),
    profiles: [],
    reasons: data.reasons,
    rules,
    source: 'recorded',
  };
  const because = (text: string): DecisionSeen => ({ ...recorded, because: text });
  if (policy === undefined) return because('the policy as it was is not kept any more');
  if (data.input === undefined) {
    return data.attempt === undefined
      ? recorded
      : because('no rule or profile could look at the task: its lists alone decided');
  }
  const input = await keptInput(deps, data.input);
  if (input === undefined) return because('what was judged is not kept any more');
  const judgement = deps.policies.judge(policy, input);
  return {
    ...recorded,
    profiles: [...judgement.profiles],
    ...(judgement.ask === undefined
      ? {}
      : {
          ask: {
            approvals: judgement.ask.approvals,
            from: judgement.ask.from.map((list) => [...list]),
            self: judgement.ask.self,
            expires_ms: judgement.ask.expiresMs,
          },
        }),
    rules: isAll ? allRules(judgement) : allRules(judgement).filter(({ decides }) => decides),
    source: isSame(rules, judgement) ? 'kept' : 'differs',
  };
}

/** A question to people that a rule put, which is a decision as well. */
function asked(
  record: RecordOf<'request.opened'>,
  hash: string,
  policy: EffectivePolicy | undefined,
): DecisionSeen {
  const { data } = record;
  return {
    seq: record.seq,
    at: record.ts,
    hash,
    moment: 'submitted',
    effect: 'ask',
    policy: data.policy,
    profiles: [],
    ...(data.ask === undefined
      ? {}
      : { ask: { ...data.ask, expires_ms: Date.parse(data.expires_at) - Date.parse(record.ts) } }),
    reasons: [`asked as ${data.request}`],
    rules: data.rules.map((rule): RuleSeen => {
      const reason = reasonOf(rule, policy);
      return { ...rule, effect: 'ask', value: 'true', decides: true, reason };
    }),
    source: 'recorded',
  };
}

/** Before a run is accepted every task of its plan was judged, on the sandbox expected for it. */
function accepted(record: RecordOf<'run.accepted'>, hash: string): DecisionSeen {
  const { data } = record;
  const count = data.tasks === 1 ? 'the only task was' : `all ${data.tasks} tasks were`;
  return {
    seq: record.seq,
    at: record.ts,
    hash,
    moment: 'submitted',
    effect: 'allow',
    policy: data.policy,
    profiles: [],
    reasons: [`${count} judged, and no rule denied one; each is judged again when it is used`],
    rules: [],
    source: 'recorded',
  };
}

/** The words of a rule, as long as the document that it stood in is kept. */
function reasonOf(
  { document, digest, id }: { document: string; digest: string; id: string },
  policy: EffectivePolicy | undefined,
): string {
  if (id === 'lists') return 'what its lists say';
  if (id === 'default') return 'no rule allows it';
  const layer = policy?.documents.find((one) => one.name === document && one.digest === digest);
  return layer?.rules?.find((rule) => rule.id === id)?.reason ?? '';
}

function allRules({ rules, deciding }: Judgement): RuleSeen[] {
  const decides = new Set(deciding);
  return rules.map((rule) => ({
    document: rule.document,
    id: rule.id,
    digest: rule.digest,
    line: rule.line,
    effect: rule.effect,
    value: rule.value === 'error' ? 'error' : rule.value ? 'true' : 'false',
    decides: decides.has(rule),
    reason: rule.reason,
  }));
}

/** As far as the record names them: it has room for some. */
function isSame(recorded: readonly RuleSeen[], { deciding }: Judgement): boolean {
  return recorded.every((rule) => deciding.some((one) => ruleName(one) === ruleName(rule)));
}
