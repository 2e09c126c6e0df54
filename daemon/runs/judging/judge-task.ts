import type { PlanTask } from '#contract/plan.ts';
import { canonicalJson } from '../../base/canonical.ts';
import { cutText } from '../../base/text.ts';
import type { EffectivePolicy } from '../../policy/effective.ts';
import {
  ruleName,
  type JudgedRule,
  type Judgement,
  type PolicyInput,
} from '../../policy/judgement.ts';
import type { SandboxSpec } from '../../policy/spec.ts';
import type { RunsDeps } from '../deps.ts';
import { judgeSpec } from '../slot.ts';
import { inputOf, listsFor, type Judging } from './task-input.ts';

/** What all there is says of a task in one exact sandbox. */
export type TaskDecision = {
  /** False also where people have to be asked: then there are no reasons. */
  isDenied: boolean;
  reasons: string[];
  /** For `pol.rule`: the built-in rule that denies, or the rule of a document that decided. */
  rule: string;
  judgement: Judgement;
  input: PolicyInput;
  /** The policy with the lists that the task gets. */
  policy: EffectivePolicy;
};

/** The built-in rules and every document, on one exact sandbox. */
export function judgeTask(
  deps: RunsDeps,
  run: Judging,
  task: PlanTask,
  spec: SandboxSpec,
): TaskDecision {
  const policy = listsFor(deps, run, task);
  const decision = judgeSpec(deps, { policy, image: run.image }, task, spec);
  const input = inputOf(deps, run, task, spec);
  const judgement = deps.policies.judge(run.policy, input);
  const own = decision.allow ? [] : decision.reasons;
  const denying = judgement.effect === 'deny' ? judgement.deciding : [];
  const reasons = [
    ...own.map(({ rule, message }) => `${rule}: ${message}`),
    // What the built-in rules say of the sandbox, lists say of the task.
    ...denying.filter(({ id }) => own.length === 0 || id !== 'lists').map(spoken),
  ];
  const [first] = judgement.deciding;
  const named = first === undefined ? '' : ruleName(first);
  return {
    isDenied: reasons.length > 0,
    reasons,
    rule: own[0]?.rule ?? named,
    judgement,
    input,
    policy,
  };
}

/** `site/no-root: nothing runs as root` */
export function spoken(rule: JudgedRule): string {
  return `${ruleName(rule)}: ${rule.reason}`;
}

const rulesMax = 16;

/** For the data of a decision: by which rules of which text. */
export function decidedBy({ deciding, profile }: Judgement) {
  return { profile: cutText(profile, 64), rules: named(deciding) };
}

export function named(rules: readonly JudgedRule[]) {
  return rules.slice(0, rulesMax).map(({ id, document, digest, line, effect }) => {
    return { id: cutText(id, 64), document, digest, line, effect };
  });
}

/** Whether a rule or a profile could look at the input, so that it is worth keeping. */
export function looksAtInput({ documents }: EffectivePolicy): boolean {
  return documents.some(
    ({ rules, profiles, toolsGrowth }) =>
      rules !== undefined || profiles.length > 0 || toolsGrowth === 'ask',
  );
}

/** The bytes of a judged input, as they are kept. */
export function spellInput(input: PolicyInput): Buffer {
  return Buffer.from(canonicalJson(input));
}
