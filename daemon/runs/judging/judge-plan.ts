import { OrchestraError } from '#contract/errors.ts';
import { limitNames, type Limits } from '#contract/limits.ts';
import type { Plan, PlanTask } from '#contract/plan.ts';
import { digestOf } from '../../base/canonical.ts';
import { cutText } from '../../base/text.ts';
import type { Reason } from '../../policy/decide.ts';
import { ruleName, type JudgedRule } from '../../policy/judgement.ts';
import { review } from '../../policy/review.ts';
import type { RunsDeps } from '../deps.ts';
import { expectedSpec } from '../expected.ts';
import type { About } from './about.ts';
import { looksAtInput, named } from './judge-task.ts';
import { inputOf, listsFor, type Judging } from './task-input.ts';

/** A plan that a policy denies, with the rules of its documents that did. */
export class PlanDenied extends OrchestraError {
  readonly rules: readonly JudgedRule[];

  constructor(name: string, reasons: readonly string[], rules: readonly JudgedRule[]) {
    super('policy.denied', `The policy ${name} denies this plan`, {
      hint: `orchestra policy show ${name}`,
      places: reasons.map((message) => ({ message })),
    });
    this.rules = rules;
  }
}

/** For the record of a refusal: the first of the rules, or that it was the plan as a whole. */
export function ruleOf(error: OrchestraError): { rule: string } {
  const [first] = error instanceof PlanDenied ? error.rules : [];
  return { rule: first === undefined ? 'plan' : ruleName(first) };
}

export function rulesOf(error: OrchestraError) {
  if (!(error instanceof PlanDenied) || error.rules.length === 0) return {};
  const once = new Map(error.rules.map((rule) => [`${ruleName(rule)} ${rule.digest}`, rule]));
  return { rules: named([...once.values()]) };
}

// Others get their turn at least so often.
const sliceMs = 10;

/**
 * Judges a whole plan before anything of it runs: every task by its lists and by every rule, on the
 * sandbox that is expected for it. Throws `PlanDenied` with every reason. Where a rule asks, nothing
 * is denied: people are asked before the task begins.
 */
export async function assertAllowed(deps: RunsDeps, run: Judging, plan: Plan): Promise<void> {
  const { policy } = run;
  const listed = review(plan, policy, (task) => listsFor(deps, run, task));
  const own = listed.allow ? [] : listed.reasons;
  const unlisted = new Set(own.map(({ task }) => task));
  const reasons = own.map(inWords);
  const rules: JudgedRule[] = [];
  if (looksAtInput(policy)) await deps.tools.prepare(run.image, policy);
  let since = performance.now();
  for (const task of plan.tasks) {
    const spec = expectedSpec(deps, run, task);
    const { effect, deciding } = deps.policies.judge(policy, inputOf(deps, run, task, spec));
    if (effect === 'deny') {
      rules.push(...deciding);
      const others = deciding.filter(({ id }) => id !== 'lists' || !unlisted.has(task.id));
      reasons.push(...others.map((rule) => `${task.id}: ${rule.reason} (${ruleName(rule)})`));
    }
    if (performance.now() - since < sliceMs) continue;
    await new Promise(setImmediate);
    since = performance.now();
  }
  if (reasons.length > 0) throw new PlanDenied(policy.name, reasons, rules);
}

function inWords({ task, rule, message }: Reason): string {
  return `${task === undefined ? '' : `${task}: `}${message} (${rule})`;
}

/**
 * The same tasks within the limits of the profiles that they get, and what policies can look at with
 * the digest of that; limits only ever go down.
 */
export function withinProfiles(
  deps: Pick<RunsDeps, 'policies'>,
  run: Pick<Judging, 'policy' | 'about'>,
  plan: Plan,
): { plan: Plan; about: About; clamped: string[] } {
  const { about } = run;
  const clamped: string[] = [];
  const tasks = plan.tasks.map((task): PlanTask => {
    const limits = lower(task.limits, listsFor(deps, run, task).limits);
    if (limits === task.limits) return task;
    clamped.push(cutText(`${task.id}: limits lowered by policy ${run.policy.name}`, 256));
    return { ...task, limits };
  });
  if (clamped.length === 0) return { plan, about, clamped };
  const within = { ...plan, tasks };
  return {
    plan: within,
    about: { ...about, run: { ...about.run, plan: digestOf(within) } },
    clamped: clamped.slice(0, 512),
  };
}

export function lower(limits: Limits, ceiling: Limits): Limits {
  if (limitNames.every((name) => limits[name] <= ceiling[name])) return limits;
  const lowered = { ...limits };
  for (const name of limitNames) lowered[name] = Math.min(limits[name], ceiling[name]);
  return lowered;
}
