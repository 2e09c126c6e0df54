import { setImmediate } from 'node:timers/promises';
import { limitNames } from '#contract/limits.ts';
import type { DiffExample, PolicyDiff } from '#contract/policy-tools.ts';
import type { EffectivePolicy, PolicyLists } from '../effective.ts';
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
import { conditionsIn, limitKey, listsIn, openReader, spaceOf } from '../space/policy-space.ts';

export type Compared = Pick<PolicyDiff, 'opened' | 'closed' | 'altered' | 'tried' | 'exhaustive'>;

/** The work of one comparison, in conditions that are asked, as in the search for invariants. */
const budget = 3_000_000;
const inputCost = 15;
const examplesMax = 50;
const groupsMax = 1000;
const valueMax = 200;

/**
 * Which tasks two policies decide differently: all tasks one by one where conditions leave few enough
 * kinds of them, else those at the borders of what is said. Gives way to others while it works.
 */
export async function compareDecisions(
  judge: Judge,
  before: EffectivePolicy,
  after: EffectivePolicy,
  signal?: AbortSignal,
): Promise<Compared> {
  const policies = [before, after];
  const reader = openReader();
  const listed = listAtoms(listsIn(policies));
  const asked = conditionsIn(policies).flatMap((text) => reader.atoms(text));
  const { space, complete } = spaceOf(policies, [...listed, ...asked]);
  const rules = policies.flatMap(({ documents }) => documents.flatMap((one) => one.rules ?? []));
  const affordable = Math.max(256, Math.floor(budget / (rules.length + 4 * inputCost)));
  const isSmall = sizeOf(space) <= affordable;
  const found = new Differences(judge, before, after);
  let tried = 0;
  const look = async (at: Space, choices: Iterable<Choice>) => {
    for (const choice of choices) {
      found.look(at, choice);
      tried += 1;
      if (tried % 64 !== 0) continue;
      await setImmediate();
      signal?.throwIfAborted();
    }
  };
  if (isSmall) await look(space, everyChoice(space));
  else {
    // What only one of them says, by itself; then everything.
    const own = onlyInOne(before, after);
    const each = Math.max(16, Math.floor(affordable / 2 / Math.max(1, own.length)));
    for (const text of own) {
      for (const dimensions of reader.waysTo(text, true)) {
        await look({ ...space, dimensions }, [dimensions.map(() => 0)]);
      }
      const { space: near } = spaceOf(policies, [...reader.atoms(text)], { withNames: false });
      await look(near, sizeOf(near) <= each ? everyChoice(near) : someChoices(near, each));
    }
    await look(space, someChoices(space, Math.floor(affordable / 2)));
  }
  return { ...found.examples(), tried, exhaustive: isSmall && complete };
}

class Differences {
  readonly #judge: Judge;
  readonly #before: EffectivePolicy;
  readonly #after: EffectivePolicy;
  readonly #groups = new Map<string, DiffExample>();

  constructor(judge: Judge, before: EffectivePolicy, after: EffectivePolicy) {
    this.#judge = judge;
    this.#before = before;
    this.#after = after;
  }

  look(space: Space, choice: Choice): void {
    const key = this.#key(space, choice);
    if (key === undefined) return;
    const known = this.#groups.get(key.text);
    if (known !== undefined) {
      known.inputs += 1;
      return;
    }
    if (this.#groups.size >= groupsMax) return;
    const least = smallest(choice, (fewer) => this.#key(space, fewer)?.text === key.text);
    const [one, other] = key.judgements;
    this.#groups.set(key.text, {
      before: one.effect,
      after: other.effect,
      by_before: decidedBy(one),
      by_after: decidedBy(other),
      inputs: 1,
      given: differences(space, least).map(({ path, value }) => ({
        path,
        value: value === undefined ? 'is not set' : JSON.stringify(value).slice(0, valueMax),
      })),
    });
  }

  examples(): Pick<Compared, 'opened' | 'closed' | 'altered'> {
    // The plainest first.
    const all = [...this.#groups.values()].toSorted((a, b) => a.given.length - b.given.length);
    const [opened, closed, altered]: [DiffExample[], DiffExample[], DiffExample[]] = [[], [], []];
    for (const one of all) {
      if (one.before === 'deny') opened.push(one);
      else if (one.after === 'deny') closed.push(one);
      else altered.push(one);
    }
    return {
      opened: opened.slice(0, examplesMax),
      closed: closed.slice(0, examplesMax),
      altered: altered.slice(0, examplesMax),
    };
  }

  /** What is different about a task; undefined where nothing is. */
  #key(
    space: Space,
    choice: Choice,
  ): { text: string; judgements: [Judgement, Judgement] } | undefined {
    const input = inputFor(space, choice);
    const one = this.#judge.judge(this.#before, input);
    const other = this.#judge.judge(this.#after, input);
    if (one.effect === other.effect && termsOf(one) === termsOf(other)) return undefined;
    const text = [one, other].map((each) => `${each.effect} ${decidedBy(each)}`).join(' → ');
    return { text: `${text} ${termsOf(one)} ${termsOf(other)}`, judgements: [one, other] };
  }
}

function termsOf({ ask }: Judgement): string {
  return ask === undefined
    ? ''
    : JSON.stringify([ask.approvals, ask.self, ask.expiresMs, ask.from.map((one) => one.join())]);
}

function decidedBy({ deciding, ask }: Judgement): string {
  const names = deciding.map((rule) => `${ruleName(rule)} (line ${rule.line})`);
  const by = names.length > 2 ? `${names.slice(0, 2).join(', ')} and others` : names.join(', ');
  if (ask === undefined) return by;
  const own = ask.self ? '' : ', not one’s own';
  return `${by}: ${ask.approvals} of ${ask.from.map((list) => list.join(' or ')).join(' and ')}${own}`;
}

function onlyInOne(before: EffectivePolicy, after: EffectivePolicy): string[] {
  const said = ({ documents }: EffectivePolicy) =>
    documents.flatMap(({ rules, profiles }) => [
      ...(rules ?? []).map(({ id, effect, when, ask }) => ({
        when,
        text: JSON.stringify([id, effect, when, ask]),
      })),
      ...profiles.flatMap(({ name, when }) =>
        when === undefined ? [] : [{ when, text: `${name} ${when}` }],
      ),
    ]);
  const [a, b] = [said(before), said(after)];
  const [inA, inB] = [new Set(a.map(({ text }) => text)), new Set(b.map(({ text }) => text))];
  const own = [
    ...a.filter(({ text }) => !inB.has(text)),
    ...b.filter(({ text }) => !inA.has(text)),
  ];
  return [...new Set(own.map(({ when }) => when))];
}

/** Values at which lists that are not the same may part. */
function listAtoms(lists: readonly PolicyLists[]): Atom[] {
  const limits = limitNames.flatMap((name): Atom[] => {
    const values = [...new Set(lists.map((one) => one.limits[name]))];
    if (values.length < 2) return [];
    const path = ['task', 'limits', limitKey(name)];
    return [{ path, ask: 'order', literals: values.map(BigInt) }];
  });
  const [first = []] = lists.map(({ env }) => env);
  const names = lists.flatMap(({ env }) => [
    ...env.filter((one) => !first.includes(one)),
    ...first.filter((one) => !env.includes(one)),
  ]);
  const env = [...new Set(names)].slice(0, 16).map((name): Atom => {
    const path = ['task', 'env', name === '*' ? 'SOMETHING' : name.replace(/\*$/, 'X')];
    return { path, ask: 'has' };
  });
  return [...limits, ...env];
}
