import type { Compiler } from '../conditions/compile.ts';
import type { EffectivePolicy, LayerRule } from '../effective.ts';
import type { Judge } from '../judge.ts';
import { ruleName, type Judgement } from '../judgement.ts';
import type { Atom } from '../space/atoms.ts';
import {
  differences,
  everyChoice,
  inputFor,
  sizeOf,
  smallest,
  someChoices,
  type Choice,
  type Space,
} from '../space/inputs.ts';
import { conditionsIn, spaceOf } from '../space/policy-space.ts';
import type { Invariant, Violation } from './check.ts';
import { profileFacts, termsOf, verdictOf } from './verdict-of.ts';

type Search = {
  judge: Judge;
  compiler: Compiler;
  reader: (text: string) => readonly Atom[];
  policy: EffectivePolicy;
  invariants: readonly Invariant[];
};

/**
 * The work of one policy, in conditions that are asked. Around a million of them take a second, so
 * that a document of ten thousand lines still loads in time.
 */
const budget = 150_000;
/** What it takes to bring one input into the form of conditions, in the same measure. */
const inputCost = 15;

/** Tries the tasks that may break an invariant. Stops at the first violation of each. */
export function searchTasks(search: Search): {
  violations: Violation[];
  tried: number;
  exhaustive: boolean;
} {
  const { policy, invariants, reader } = search;
  const rules = policy.documents.flatMap((document) => document.rules ?? []);
  const stated = invariants.flatMap(({ text }) => reader(text)).filter(isOfTask);
  const asked = conditionsIn([policy]).flatMap((text) => reader(text));
  const { space, complete } = spaceOf([policy], [...stated, ...asked]);
  const trial = new Trial(search);
  const cost = rules.length + policy.documents.length * inputCost;
  const affordable = Math.max(64, Math.floor(budget / cost));
  if (sizeOf(space) <= affordable) {
    for (const choice of everyChoice(space)) trial.judge(space, choice);
    return { ...trial.result(), exhaustive: complete };
  }
  const each = Math.floor(budget / Math.max(1, rules.length) / (invariants.length + inputCost));
  for (const rule of rules) {
    if (rule.effect !== 'deny') trial.aim(rule, stated, Math.min(256, Math.max(4, each)));
  }
  for (const choice of someChoices(space, Math.floor(affordable / 2))) trial.judge(space, choice);
  return { ...trial.result(), exhaustive: false };
}

class Trial {
  readonly #search: Search;
  readonly #violations = new Map<Invariant, Violation>();
  #tried = 0;

  constructor(search: Search) {
    this.#search = search;
  }

  result(): { violations: Violation[]; tried: number } {
    return { violations: [...this.#violations.values()], tried: this.#tried };
  }

  /** One task, judged by everything, against every invariant that still stands. */
  judge(space: Space, choice: Choice): void {
    this.#tried += 1;
    for (const invariant of this.#broken(space, choice)) {
      if (this.#violations.has(invariant)) continue;
      const least = smallest(choice, (fewer) => this.#broken(space, fewer).includes(invariant));
      this.#violations.set(invariant, this.#violation(space, least, invariant));
    }
  }

  /**
   * Tasks that one rule speaks for, told by its own condition and that of the invariants alone;
   * everything is judged only where the two would be at odds.
   */
  aim(rule: LayerRule, stated: readonly Atom[], max: number): void {
    const { compiler, policy, reader } = this.#search;
    const asked = [...stated, ...reader(rule.when)];
    const wide = spaceOf([policy], asked).space;
    const space = sizeOf(wide) <= max ? wide : spaceOf([policy], asked, { withNames: false }).space;
    const made = compiler.compile(rule.when, 'rule');
    if (!made.ok) return;
    const isSmall = sizeOf(space) <= max;
    const ask = rule.ask && { ...rule.ask, from: [rule.ask.from] };
    const verdict = {
      ...termsOf({ effect: rule.effect, ...(ask === undefined ? {} : { ask }) }),
      profile: profileFacts(policy, { name: 'standard', document: policy.name }),
    };
    for (const choice of isSmall ? everyChoice(space) : someChoices(space, max)) {
      this.#tried += 1;
      const context = compiler.context(inputFor(space, choice), verdict);
      if (made.condition.holds(context) === false) continue;
      const isOdd = this.#standing().some(
        ({ condition, brokenBy, text }) =>
          text.includes('profile.') || condition.holds(context) !== !brokenBy,
      );
      if (isOdd) this.judge(space, choice);
    }
  }

  #standing(): Invariant[] {
    return this.#search.invariants.filter((one) => !this.#violations.has(one));
  }

  #broken(space: Space, choice: Choice): Invariant[] {
    const { judge, compiler, policy } = this.#search;
    const input = inputFor(space, choice);
    const context = compiler.context(input, verdictOf(judge, policy, input).verdict);
    return this.#search.invariants.filter(
      ({ condition, brokenBy }) => condition.holds(context) !== !brokenBy,
    );
  }

  #violation(space: Space, choice: Choice, invariant: Invariant): Violation {
    const { judge, policy } = this.#search;
    const input = inputFor(space, choice);
    const judgement = judge.judge(policy, input);
    const given = differences(space, choice).map(({ path, value }) =>
      value === undefined ? `no ${path}` : `${path} = ${JSON.stringify(value)}`,
    );
    const task = given.length === 0 ? 'any ordinary task' : `a task with ${given.join(', ')}`;
    return {
      invariant,
      policy: policy.name,
      counterexample: `${task} comes to ${inWords(judgement)}`,
      input,
    };
  }
}

function inWords({ effect, ask, deciding }: Judgement): string {
  const terms = ask === undefined ? '' : ` with ${ask.approvals} approvals`;
  const rules = deciding.slice(0, 3).map((rule) => `${ruleName(rule)} (line ${rule.line})`);
  return `${effect}${terms} by ${rules.join(', ')}`;
}

/** The other places of an invariant are what comes of a task, not what it is. */
function isOfTask({ path: [first = ''] }: Atom): boolean {
  return !['effect', 'ask', 'profile'].includes(first);
}
