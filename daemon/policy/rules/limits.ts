import { formatLimit, limitNames, limitWords } from '#contract/limits.ts';
import type { Rule } from './rule.ts';

/** Every limit is set, and none is above the policy's. */
export const limits: Rule = (spec, policy) =>
  limitNames.flatMap((name) => {
    const value = spec.limits[name];
    const max = policy.limits[name];
    // Zero and NaN would mean "no limit" to an engine.
    if (!Number.isSafeInteger(value) || value < 1) return [`limit ${limitWords[name]} is not set`];
    if (value <= max) return [];
    const [found, allowed] = [formatLimit(name, value), formatLimit(name, max)];
    return [`limit ${limitWords[name]}: ${found} is above ${allowed}`];
  });
