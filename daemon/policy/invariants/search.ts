import type { Compiler } from '../conditions/compile.ts';
import type { EffectivePolicy, LayerRule } from '../effective.ts';
import type { Judge } from '../judge.ts';
import { ruleName, type Judgement, type PolicyInput } from '../judgement.ts';
import { grantsSecret } from '../secret-grants.ts';
import type { Atom } from '../space/atoms.ts';
import { dimensionsOf, type Dimension } from '../space/dimensions.ts';
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
import { conditionsIn, spaceOf, type Reader } from '../space/policy-space.ts';
import type { Invariant, Violation } from './check.ts';
import { together } from '../space/witness.ts';
import type { Verdict } from './verdict.ts';
import { profileFacts, termsOf, verdictOf } from './verdict-of.ts';

type Search = {
  judge: Judge;
  compiler: Compiler;
  reader: Reader;
  policy: EffectivePolicy;
  invariants: readonly Invariant[];
  /** The part of the whole work that is for this policy. */
  share: number;
};

/**
 * The work for all policies together, in conditions that are asked: around a million of them take a
 * second, and a document of ten thousand lines is to load within one.
 */
const budgetOfAll = 240_000;
/** What it takes to bring one input into the form of conditions, in the same measure. */
const inputCost = 15;

/** However many rules there are. */
const judgementsMin = 24;
/** Of a rule, and of an invariant, so many ways to come true are tried with each other. */
const waysMax = 3;

/** Tries the tasks that may break an invariant. Stops at the first violation of each. */
export function searchTasks(search: Search): {
  violations: Violation[];
  tried: number;
  exhaustive: boolean;
} {
  const { policy, invariants, reader, share } = search;
  const budget = budgetOfAll * share;
  const rules = policy.documents.flatMap((document) => document.rules ?? []);
  const stated = invariants.flatMap(({ text }) => reader.atoms(text)).filter(isOfTask);
  const asked = conditionsIn([policy]).flatMap((text) => reader.atoms(text));
  const { space: found, complete } = spaceOf([policy], [...stated, ...asked]);
  const space = underItsName(found, policy);
  const cost = rules.length + policy.documents.length * inputCost;
  const affordable = Math.max(judgementsMin, Math.floor(budget / cost));
  const trial = new Trial(search, affordable);
  if (sizeOf(space) <= affordable) {
    for (const choice of everyChoice(space)) trial.judge(space, choice);
    return { ...trial.result(), exhaustive: complete };
  }
  const each = Math.floor(budget / Math.max(1, rules.length) / (invariants.length + inputCost));
  // The rules of documents above are aimed at where those documents are judged by themselves.
  for (const rule of policy.documents.at(-1)?.rules ?? []) {
    if (rule.effect !== 'deny') trial.aim(rule, space, { stated, max: Math.min(256, each) });
  }
  for (const choice of someChoices(space, Math.floor(affordable / 2))) trial.judge(space, choice);
  return { ...trial.result(), exhaustive: false };
}

class Trial {
  readonly #search: Search;
  readonly #violations = new Map<Invariant, Violation>();
  readonly #judgementsMax: number;
  readonly #profile: Verdict['profile'];
  #tried = 0;
  #judgements = 0;

  constructor(search: Search, judgementsMax: number) {
    this.#search = search;
    this.#judgementsMax = judgementsMax;
    const { policy } = search;
    this.#profile = profileFacts(policy, { name: 'standard', document: policy.name });
  }

  result(): { violations: Violation[]; tried: number } {
    return { violations: [...this.#violations.values()], tried: this.#tried };
  }

  /** One task, judged by everything, against every invariant that still stands. */
  judge(space: Space, choice: Choice): void {
    this.#tried += 1;
    this.#judgements += 1;
    for (const invariant of this.#broken(space, choice)) {
      if (this.#violations.has(invariant)) continue;
      const least = smallest(choice, (fewer) => this.#broken(space, fewer).includes(invariant));
      this.#violations.set(invariant, this.#violation(space, least, invariant));
    }
  }

  /**
   * Tasks that one rule speaks for: those that it and an invariant say by their values, and some more
   * at the borders of both. Told by its own condition and that of the invariants alone; everything is
   * judged only where the two would be at odds.
   */
  aim(
    rule: LayerRule,
    whole: Space,
    { stated, max }: { stated: readonly Atom[]; max: number },
  ): void {
    const { compiler, policy, reader } = this.#search;
    const made = compiler.compile(rule.when, 'rule');
    if (!made.ok) return;
    const { condition } = made;
    const ask = rule.ask && { ...rule.ask, from: [rule.ask.from] };
    const verdict = {
      ...termsOf({ effect: rule.effect, ...(ask === undefined ? {} : { ask }) }),
      profile: this.#profile,
    };
    const look = (space: Space, choice: Choice) => {
      this.#tried += 1;
      const input = inputFor(space, choice);
      const effect = isListed(policy, input) ? verdict.effect : 'deny';
      const context = compiler.context(input, { ...verdict, effect });
      if (condition.holds(context) === false) return;
      const isOdd = this.#standing().some(
        (one) => one.text.includes('profile.') || one.condition.holds(context) !== !one.brokenBy,
      );
      if (isOdd && this.#judgements < this.#judgementsMax) this.judge(space, choice);
    };
    for (const dimensions of this.#pointed(rule)) {
      const space = underItsName({ ...whole, dimensions }, policy);
      look(
        space,
        space.dimensions.map(() => 0),
      );
    }
    if (max < 4) return;
    const asked = [...stated, ...reader.atoms(rule.when)];
    const space = underItsName({ ...whole, ...dimensionsOf(asked) }, policy);
    for (const choice of sizeOf(space) <= max ? everyChoice(space) : someChoices(space, max)) {
      look(space, choice);
    }
  }

  /** What a rule and an invariant together ask for, each way with each way. */
  #pointed(rule: LayerRule): Dimension[][] {
    const { reader } = this.#search;
    const rightly = reader.waysTo(rule.when, true).slice(0, waysMax);
    return this.#standing().flatMap(({ text, brokenBy }) => {
      const wrongly = reader.waysTo(text, brokenBy).slice(0, waysMax);
      const others = wrongly.length === 0 ? [[]] : wrongly;
      return rightly.flatMap((way) => others.map((other) => together(way, other)));
    });
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

/** Told without rules: what not even the widest lists name is denied whatever rules say. */
function isListed(policy: EffectivePolicy, { task }: PolicyInput): boolean {
  return (
    policy.tools.includes(task.tool) &&
    task.secrets.every((name) => grantsSecret(policy.secrets, name, task))
  );
}

function inWords({ effect, ask, deciding }: Judgement): string {
  const terms = ask === undefined ? '' : ` with ${ask.approvals} approvals`;
  const rules = deciding.slice(0, 3).map((rule) => `${ruleName(rule)} (line ${rule.line})`);
  return `${effect}${terms} by ${rules.join(', ')}`;
}

/** No run under one policy says that it is under another. */
function underItsName({ base, dimensions, settle }: Space, { name }: EffectivePolicy): Space {
  return {
    base: { ...base, run: { ...base.run, policy: name } },
    dimensions: dimensions.filter(({ path }) => path.join('.') !== 'run.policy'),
    settle,
  };
}

/** The other places of an invariant are what comes of a task, not what it is. */
function isOfTask({ path: [first = ''] }: Atom): boolean {
  return !['effect', 'ask', 'profile'].includes(first);
}
