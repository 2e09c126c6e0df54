import type { DryRunAnswer, DryRunPolicy } from '#contract/policy-tools.ts';
import type { Digest } from '#contract/ids.ts';
import type { Limits } from '#contract/limits.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { Caller } from '../../access/caller.ts';
import type { EffectivePolicy } from '../../policy/effective.ts';
import { ruleName, type Effect, type Judgement, type PolicyInput } from '../../policy/judgement.ts';
import { limitKey } from '../../policy/space/policy-space.ts';
import type { RunsDeps } from '../deps.ts';
import type { Runs } from '../runs.ts';
import type { RunFacts } from '../state.ts';
import { documentOf, standIn } from './candidate.ts';
import { decisionsOf, type Decided } from './decided.ts';
import { keptInput, Policies } from './kept.ts';
import { rebuilt } from './rebuilt.ts';

const runsMax = 10_000;
const runsUsual = 1000;
const changedMax = 500;
const rulesMax = 100;

/**
 * Judges what is on record with a document as if it were in force: newest runs first, each task on
 * the input that was kept, or on one made of its plan and its sandbox. Changes nothing and keeps
 * nothing.
 */
export async function dryRun(
  runs: Runs,
  deps: RunsDeps,
  { policy, since, runs: count }: DryRunPolicy,
  { caller, signal }: { caller: Pick<Caller, 'sees'>; signal: AbortSignal },
): Promise<DryRunAnswer> {
  const document = documentOf(deps.policies, policy);
  const tally = new Tally(document);
  const policies = new Policies(deps);
  const from = since === undefined ? 0 : Date.parse(since);
  // Which policy stands in for which: runs are many, and documents few.
  const stands = new Map<string, EffectivePolicy | undefined>();
  let left = Math.min(count ?? (since === undefined ? runsUsual : runsMax), runsMax);
  for (const run of deps.states.all().toReversed()) {
    if (left === 0 || Date.parse(run.submittedAt) < from) break;
    if (!caller.sees(run)) continue;
    if (!stands.has(run.policyName)) {
      stands.set(run.policyName, standIn(deps.policies, document, run.policyName));
    }
    const stand = stands.get(run.policyName);
    if (stand === undefined) continue;
    left -= 1;
    await judgeRun(runs, deps, { run, stand, policies, tally });
    signal.throwIfAborted();
  }
  return tally.answer();
}

type Look = { run: RunFacts; stand: EffectivePolicy; policies: Policies; tally: Tally };

async function judgeRun(runs: Runs, deps: RunsDeps, look: Look): Promise<void> {
  const { run, stand, policies, tally } = look;
  const plan = await runs.planOf(run).catch(() => undefined);
  if (plan === undefined || run.plan === undefined) {
    const why = run.plan === undefined ? 'it never had a plan that was kept' : 'its plan is pruned';
    tally.unknown(why, 0);
    return;
  }
  tally.run();
  const decided = await decisionsOf(deps.log, run);
  const own = run.policy === undefined ? undefined : await policies.read(run.policy);
  const remake = await rebuilt(deps, { run, plan, planDigest: run.plan, policy: own });
  const whole = againstRun(stand, plan.tasks.length);
  let lost = 0;
  for (const [i, task] of plan.tasks.entries()) {
    const last = (decided.get(task.id) ?? []).findLast(isDecision);
    const input = await inputFor(deps, task, last, remake);
    if (input === undefined) {
      lost += 1;
      continue;
    }
    const after = deps.policies.judge(stand, withinLists(deps, stand, input));
    tally.task(run, task, { before: effectOf(last), after, whole });
    if (i % 32 === 31) await new Promise(setImmediate);
  }
  if (lost > 0) tally.unknown('what was judged is not kept, and cannot be made again', lost);
}

function isDecision(one: Decided): one is Decided & { record: { type: 'policy.decided' } } {
  return one.record.type === 'policy.decided';
}

async function inputFor(
  deps: RunsDeps,
  task: PlanTask,
  last: (Decided & { record: { type: 'policy.decided' } }) | undefined,
  remake: Awaited<ReturnType<typeof rebuilt>>,
): Promise<PolicyInput | undefined> {
  const digest: Digest | undefined = last?.record.data.input;
  const kept = digest === undefined ? undefined : await keptInput(deps, digest);
  return kept ?? remake(task, last?.record.data.spec);
}

/** A task of an accepted plan that never came to its turn was allowed so far. */
function effectOf(last: (Decided & { record: { type: 'policy.decided' } }) | undefined): Effect {
  if (last === undefined) return 'allow';
  const { decision, request } = last.record.data;
  if (decision === 'deny') return 'deny';
  return request === undefined ? 'allow' : 'ask';
}

/** A plan is made within the limits of its policy: they are lowered, and nothing is denied for them. */
function withinLists(
  { policies }: Pick<RunsDeps, 'policies'>,
  policy: EffectivePolicy,
  input: PolicyInput,
): PolicyInput {
  const most: Readonly<Record<string, number>> = Object.fromEntries(
    Object.entries(policies.listsFor(policy, input).limits).map(([name, value]) => [
      limitKey(name as keyof Limits),
      value,
    ]),
  );
  const limits = Object.fromEntries(
    Object.entries(input.task.limits).map(([name, value]) => [
      name,
      Math.min(value, most[name] ?? value),
    ]),
  ) as PolicyInput['task']['limits'];
  return { ...input, task: { ...input.task, limits } };
}

/** What a policy says of a run as a whole. */
function againstRun({ run }: EffectivePolicy, tasks: number): string | undefined {
  return tasks > run.tasks ? `${tasks} tasks are more than ${run.tasks}` : undefined;
}

class Tally {
  readonly #document: EffectivePolicy;
  readonly #changed: DryRunAnswer['changed'] = [];
  readonly #rules = new Map<string, DryRunAnswer['by_rule'][number]>();
  readonly #unknown = new Map<string, { runs: number; tasks: number }>();
  readonly #after = { deny: 0, ask: 0, allow: 0 };
  #runs = 0;
  #tasks = 0;
  #same = 0;

  constructor(document: EffectivePolicy) {
    this.#document = document;
  }

  run(): void {
    this.#runs += 1;
  }

  unknown(why: string, tasks: number): void {
    const known = this.#unknown.get(why) ?? { runs: 0, tasks: 0 };
    this.#unknown.set(why, { runs: known.runs + 1, tasks: known.tasks + tasks });
  }

  task(
    run: RunFacts,
    task: PlanTask,
    { before, after, whole }: { before: Effect; after: Judgement; whole: string | undefined },
  ): void {
    this.#tasks += 1;
    const effect = whole === undefined ? after.effect : 'deny';
    if (effect === before) {
      this.#same += 1;
      return;
    }
    this.#after[effect] += 1;
    const [first] = after.deciding;
    const [by, line, reason] =
      whole !== undefined || first === undefined
        ? [`${this.#document.name}/run.tasks`, 1, whole ?? '']
        : [ruleName(first), first.line, first.reason];
    const key = `${by} ${effect}`;
    const row = this.#rules.get(key) ?? { rule: by, line, effect, tasks: 0 };
    row.tasks += 1;
    this.#rules.set(key, row);
    if (this.#changed.length >= changedMax) return;
    this.#changed.push({
      run: run.id,
      submitted_at: run.submittedAt,
      task: task.id,
      tool: task.tool,
      before,
      after: effect,
      by,
      line,
      reason: reason.slice(0, 500),
      profile: after.profile,
    });
  }

  answer(): DryRunAnswer {
    const { name, digest, documents } = this.#document;
    const { deny, ask, allow } = this.#after;
    return {
      policy: { name, digest: documents.at(-1)?.digest ?? digest },
      runs: this.#runs,
      tasks: this.#tasks,
      same: this.#same,
      changed: this.#changed,
      changed_total: deny + ask + allow,
      denied: deny,
      asked: ask,
      allowed: allow,
      by_rule: [...this.#rules.values()].toSorted((a, b) => b.tasks - a.tasks).slice(0, rulesMax),
      unknown: [...this.#unknown].map(([why, counts]) => ({ why, ...counts })),
    };
  }
}
