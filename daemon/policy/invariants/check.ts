import { OrchestraError, type ErrorPlace } from '#contract/errors.ts';
import type { PolicyDocument, PolicyInvariant } from '#contract/policy.ts';
import { openCompiler, type Condition } from '../conditions/compile.ts';
import { locateInPolicy } from '../document.ts';
import type { EffectivePolicy } from '../effective.ts';
import type { PolicyInput } from '../input.ts';
import type { Judge } from '../judge.ts';
import { openReader } from '../space/policy-space.ts';
import { profileViolations } from './profiles.ts';
import { searchTasks } from './search.ts';

/** A document as it applies, and the invariants that it brings for all of them. */
export type Stated = {
  name: string;
  source: string;
  text: string;
  document: Pick<PolicyDocument, 'invariants'>;
  applied: EffectivePolicy;
};

export type Invariant = {
  /** `document/id`. */
  name: string;
  statement: string;
  condition: Condition;
  /** Whether it is broken where the condition holds, or where it does not. */
  brokenBy: boolean;
  text: string;
  /** It looks at nothing but the lists of profiles. */
  ofProfiles: boolean;
};

export type Violation = {
  invariant: Invariant;
  policy: string;
  /** What of an ordinary task has to be otherwise, and what comes of it. */
  counterexample: string;
  /** That task; none where a profile alone breaks it. */
  input?: PolicyInput;
};

export type InvariantsReport = {
  invariants: number;
  /** By document: how many tasks were tried, and whether every other one goes as one of them. */
  searched: { policy: string; tried: number; exhaustive: boolean }[];
  violations: Violation[];
};

/**
 * Looks for a task, or a profile, that breaks what a document states of all of them. Profiles are
 * looked at one and all; tasks one and all where their number allows it, else those at the borders
 * of what conditions say, up to a budget that does not depend on the clock.
 */
export function examineInvariants(judge: Judge, documents: readonly Stated[]): InvariantsReport {
  const reader = openReader();
  const compiler = openCompiler();
  const invariants = documents.flatMap(({ name, document }) =>
    (document.invariants ?? []).map((one): Invariant => {
      const text = one.never ?? one.always ?? '';
      const made = compiler.compile(text, 'invariant');
      const atoms = reader.atoms(text);
      return {
        name: `${name}/${one.id}`,
        statement: one.statement,
        // What cannot be compiled was refused when its document was read.
        condition: made.ok ? made.condition : { steps: 0, holds: () => 'error' },
        brokenBy: one.never !== undefined,
        text,
        ofProfiles: atoms.length > 0 && atoms.every(({ path }) => path[0] === 'profile'),
      };
    }),
  );
  const report: InvariantsReport = { invariants: invariants.length, searched: [], violations: [] };
  if (invariants.length === 0) return report;
  const [ofProfiles, ofTasks] = [
    invariants.filter((one) => one.ofProfiles),
    invariants.filter((one) => !one.ofProfiles),
  ];
  for (const { name, applied } of documents) {
    report.violations.push(...profileViolations(compiler, applied, ofProfiles));
    if (ofTasks.length === 0) continue;
    const found = searchTasks({
      judge,
      compiler,
      reader,
      policy: applied,
      invariants: ofTasks,
      share: 1 / documents.length,
    });
    report.violations.push(...found.violations);
    report.searched.push({ policy: name, tried: found.tried, exhaustive: found.exhaustive });
  }
  return report;
}

const placesMax = 20;

/** The same as a gate: throws `policy.invalid` with a counterexample for each that is broken. */
export function assertInvariants(judge: Judge, documents: readonly Stated[]): void {
  const { violations } = examineInvariants(judge, documents);
  if (violations.length === 0) return;
  const first = new Map<string, Violation>();
  for (const one of violations) {
    if (!first.has(one.invariant.name)) first.set(one.invariant.name, one);
  }
  const places = [...first.values()].slice(0, placesMax).map((one) => placeOf(one, documents));
  const count = places.length === 1 ? '1 invariant is' : `${places.length} invariants are`;
  throw new OrchestraError('policy.invalid', `${count} broken by the policies together`, {
    hint: 'mend the rule or the list that is named, or the invariant: docs/POLICY.md, "Invariants"',
    places,
  });
}

function placeOf(
  { invariant, policy, counterexample }: Violation,
  documents: readonly Stated[],
): ErrorPlace {
  const [owner, id] = invariant.name.split('/');
  const message = `${invariant.name} is broken by policy ${policy}: ${counterexample}`;
  const stated = documents.find(({ name }) => name === owner);
  const at = stated?.document.invariants?.findIndex((one: PolicyInvariant) => one.id === id) ?? -1;
  if (stated === undefined || at < 0) return { message, hint: invariant.statement };
  const place = locateInPolicy(stated.text, stated.source, ['invariants', at]);
  return { ...place, message, hint: invariant.statement };
}
