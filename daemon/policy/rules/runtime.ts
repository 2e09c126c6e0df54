import type { Rule } from './rule.ts';

/** The runtime is allowed, and the engine has it. */
export const runtime: Rule = (spec, policy, facts) => {
  const reasons: string[] = [];
  if (!policy.isolation.runtimes.includes(spec.runtime)) {
    reasons.push(`runtime ${spec.runtime} is not allowed`);
  }
  if (!facts.engine.runtimes.includes(spec.runtime)) {
    reasons.push(`the engine has no runtime ${spec.runtime}`);
  }
  return reasons;
};
