import type { EffectivePolicy } from './effective.ts';
import { rules, type RuleName } from './rules/index.ts';
import type { JudgeFacts, Rule } from './rules/rule.ts';
import type { SandboxSpec } from './spec.ts';

export type { JudgeFacts } from './rules/rule.ts';

export type Reason = { rule: string; message: string; task?: string };
export type Decision = { allow: true } | { allow: false; reasons: Reason[] };

/**
 * Judges the exact spec of one sandbox, at the moment of its use. Allowed is what no rule has
 * anything against; a rule that breaks is a reason to refuse.
 */
export function decide(spec: SandboxSpec, policy: EffectivePolicy, facts: JudgeFacts): Decision {
  const reasons = Object.entries<Rule>(rules).flatMap(([rule, judge]) =>
    ask(rule as RuleName, judge, spec, policy, facts),
  );
  return reasons.length === 0 ? { allow: true } : { allow: false, reasons };
}

function ask(
  rule: RuleName,
  judge: Rule,
  spec: SandboxSpec,
  policy: EffectivePolicy,
  facts: JudgeFacts,
): Reason[] {
  try {
    return judge(spec, policy, facts).map((message) => ({ rule, message }));
  } catch {
    return [{ rule, message: `rule ${rule} could not judge this` }];
  }
}
