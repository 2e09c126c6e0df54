import type { Compiler } from '../conditions/compile.ts';
import type { EffectivePolicy, PolicyLists } from '../effective.ts';
import { narrowLists } from '../narrow.ts';
import { defaultInput } from '../space/default-input.ts';
import type { Invariant, Violation } from './check.ts';
import type { Verdict } from './verdict.ts';
import { profileFacts } from './verdict-of.ts';

/**
 * Every profile of a policy under every profile of the documents above it, whether or not a task can
 * be in all of them at once: what no two of them grant, nobody is granted.
 */
export function profileViolations(
  compiler: Compiler,
  policy: EffectivePolicy,
  invariants: readonly Invariant[],
): Violation[] {
  if (invariants.length === 0) return [];
  const violations: Violation[] = [];
  for (const { names, lists } of combinations(policy)) {
    const verdict: Verdict = {
      effect: 'allow',
      ask: { approvals: 0, from: [], self: true, expires_ms: 0 },
      profile: profileFacts(lists, { name: names.at(-1)?.profile ?? '', document: policy.name }),
    };
    const context = compiler.context(defaultInput, verdict);
    for (const invariant of invariants) {
      if (invariant.condition.holds(context) === !invariant.brokenBy) continue;
      const where = names.map(({ profile, document }) => `profile ${profile} of ${document}`);
      const counterexample = `${where.join(' under ')} grants ${grantsInWords(verdict.profile, invariant.text)}`;
      violations.push({ invariant, policy: policy.name, counterexample });
    }
  }
  return violations;
}

type Combination = { names: { document: string; profile: string }[]; lists: PolicyLists };

function combinations({ documents }: EffectivePolicy): Combination[] {
  let all: Combination[] = [];
  for (const [i, { name: document, standard, profiles }] of documents.entries()) {
    const own = [...profiles, { name: 'standard', lists: standard }];
    all =
      i === 0
        ? own.map(({ name, lists }) => ({ names: [{ document, profile: name }], lists }))
        : all.flatMap(({ names, lists: above }) =>
            own.map(({ name, lists }) => ({
              names: [{ document, profile: name }, ...names],
              lists: narrowLists(above, lists, () => {}),
            })),
          );
  }
  return all;
}

/** The facts that the invariant names. */
function grantsInWords(profile: Verdict['profile'], text: string): string {
  const named = Object.entries(profile).filter(([key]) => text.includes(`profile.${key}`));
  return named.map(([key, value]) => `${key} ${JSON.stringify(value)}`).join(', ');
}
