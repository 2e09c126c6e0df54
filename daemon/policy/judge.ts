import type { Limits } from '#contract/limits.ts';
import { openCompiler, type Compiler, type Condition, type Context } from './conditions/compile.ts';
import { digestOf } from '../base/canonical.ts';
import type { EffectivePolicy, LayerRule, PolicyLayer, PolicyLists } from './effective.ts';
import type {
  Ask,
  ChosenProfile,
  Effect,
  JudgedRule,
  Judgement,
  PolicyInput,
} from './judgement.ts';
import { againstLists } from './lists.ts';
import { narrowLists } from './narrow.ts';

/**
 * Judges tasks by documents. Each document judges by itself, by the lists of the profile that the
 * task has in it and by its rules; what they come to together is the least of it, so one more
 * document never allows more. It compiles a document once and remembers those it saw last.
 */
export interface Judge {
  /** Pure: the same policy and input come to the same. It does not throw. */
  judge(policy: EffectivePolicy, input: PolicyInput): Judgement;
  /**
   * The same policy, by its own digest, with the lists that this one task gets: never wider than
   * those of the policy.
   */
  listsFor(policy: EffectivePolicy, input: PolicyInput): EffectivePolicy;
  /** Whether a rule names that part of the input, so that it is worth finding out. */
  looksAt(policy: EffectivePolicy, part: string): boolean;
}

export function openJudge(): Judge {
  const byLayer = new WeakMap<PolicyLayer, CompiledLayer>();
  const byContent = new Map<string, CompiledLayer>();
  const compiled = (layer: PolicyLayer): CompiledLayer => {
    const same = byLayer.get(layer);
    if (same !== undefined) return same;
    // Policies are cloned when they are narrowed: the same document comes as many objects.
    const key = digestOf(layer);
    const made = byContent.get(key) ?? compileLayer(layer);
    byLayer.set(layer, made);
    byContent.delete(key);
    byContent.set(key, made);
    const [oldest] = byContent.keys();
    if (byContent.size > rememberedMax && oldest !== undefined) byContent.delete(oldest);
    return made;
  };
  const lists = new WeakMap<EffectivePolicy, Map<string, EffectivePolicy>>();
  return {
    judge: (policy, input) => judge(policy.documents.map(compiled), input),
    looksAt: (policy, part) =>
      policy.documents.some((layer) => {
        const { looks, rules = [] } = compiled(layer);
        const said = looks.get(part) ?? rules.some(({ rule }) => rule.when.includes(part));
        looks.set(part, said);
        return said;
      }),
    listsFor(policy, input) {
      if (policy.documents.every(({ profiles }) => profiles.length === 0)) return policy;
      const chosen = policy.documents.map((layer) => chooseProfile(compiled(layer), input));
      const key = JSON.stringify(chosen.map(({ name }) => name));
      const made = lists.get(policy) ?? new Map<string, EffectivePolicy>();
      lists.set(policy, made);
      const found = made.get(key);
      if (found !== undefined) return found;
      const narrowed = chosen.reduce<PolicyLists>(
        (above, { lists: below }) => narrowLists(above, below, () => {}),
        listsOf(policy),
      );
      const one = Object.freeze({ ...policy, ...narrowed });
      made.set(key, one);
      return one;
    },
  };
}

const rememberedMax = 64;

type CompiledLayer = {
  layer: PolicyLayer;
  compiler: Compiler;
  profiles: readonly { name: string; when: Condition | undefined; lists: PolicyLists }[];
  rules: readonly { rule: LayerRule; when: Condition | undefined }[] | undefined;
  /** What was asked before of the texts of its rules. */
  looks: Map<string, boolean>;
};

/** A condition that cannot be compiled any more is one that breaks whenever it is asked. */
function compileLayer(layer: PolicyLayer): CompiledLayer {
  const compiler = openCompiler();
  const condition = (text: string, kind: 'rule' | 'profile') => {
    const made = compiler.compile(text, kind);
    return made.ok ? made.condition : broken;
  };
  return {
    layer,
    compiler,
    looks: new Map(),
    profiles: layer.profiles.map(({ name, when, lists }) => ({
      name,
      when: when === undefined ? undefined : condition(when, 'profile'),
      lists,
    })),
    rules: layer.rules?.map((rule) => ({ rule, when: condition(rule.when, 'rule') })),
  };
}

const broken: Condition = { steps: 0, holds: () => 'error' };

type Choice = { name: string; lists: PolicyLists; broken?: string };

/** The first whose condition holds; one that breaks ends the search, and the task is refused. */
function chooseProfile({ layer, compiler, profiles }: CompiledLayer, input: PolicyInput): Choice {
  const standard = { name: 'standard', lists: layer.standard };
  if (profiles.length === 0) return standard;
  const context = contextOf(compiler, input);
  for (const { name, when, lists } of profiles) {
    const holds = when === undefined || (context !== undefined && when.holds(context));
    if (context === undefined || holds === 'error') return { ...standard, broken: name };
    if (holds) return { name, lists };
  }
  return standard;
}

function contextOf(compiler: Compiler, input: PolicyInput): Context | undefined {
  try {
    return compiler.context(input);
  } catch {
    return undefined;
  }
}

function judge(layers: readonly CompiledLayer[], input: PolicyInput): Judgement {
  const judged = layers.map((layer) => judgeLayer(layer, input));
  const effect = least(judged.map((one) => one.effect));
  const rules = judged.flatMap((one) => one.rules);
  const deciding = judged.flatMap((one) => (one.effect === effect ? one.deciding : []));
  const profiles = judged.map((one) => one.profile);
  const judgement = { effect, profile: profiles.at(-1)?.profile ?? 'standard', profiles, rules };
  if (effect !== 'ask') return { ...judgement, deciding };
  return { ...judgement, deciding, ask: strictest(judged.flatMap((one) => one.asks)) };
}

type JudgedLayer = {
  effect: Effect;
  rules: JudgedRule[];
  deciding: JudgedRule[];
  profile: ChosenProfile;
  asks: Ask[];
};

function judgeLayer(compiled: CompiledLayer, input: PolicyInput): JudgedLayer {
  return askedForTool(compiled.layer, input, judgeRules(compiled, input));
}

/**
 * What the document says, and leave for a program that is not on the list of its user besides. It
 * speaks for nothing: what nobody allows is not to be had by growing a list.
 */
function askedForTool(layer: PolicyLayer, input: PolicyInput, judged: JudgedLayer): JudgedLayer {
  if (layer.toolsGrowth !== 'ask') return judged;
  const { history }: Partial<PolicyInput> = input;
  const rule: JudgedRule = {
    document: layer.name,
    digest: layer.digest,
    id: toolRuleId,
    line: layer.toolsGrowthLine ?? 1,
    effect: 'ask',
    value: !(history?.tool_allowed ?? false),
    reason: 'the program is not on the list of tools of its user',
  };
  const rules = [...judged.rules, rule];
  if (rule.value === false || judged.effect === 'deny') return { ...judged, rules };
  return {
    ...judged,
    rules,
    effect: 'ask',
    deciding: judged.effect === 'ask' ? [...judged.deciding, rule] : [rule],
    asks: [...judged.asks, toolAsk],
  };
}

export const toolRuleId = 'tool-not-allowed';

/** As a rule asks that has no terms of its own. */
const toolAsk: Ask = {
  approvals: 1,
  from: [['approver']],
  self: true,
  expiresMs: 24 * 3600 * 1000,
};

function judgeRules(compiled: CompiledLayer, input: PolicyInput): JudgedLayer {
  const { layer, compiler } = compiled;
  const own = { document: layer.name, digest: layer.digest };
  const choice = chooseProfile(compiled, input);
  const here = { ...input, spec: { ...input.spec, profile: choice.name } };
  const against = reasonsOf(here, choice);
  const lists: JudgedRule = {
    ...own,
    id: 'lists',
    line: layer.profiles.find(({ name }) => name === choice.name)?.line ?? 1,
    // Where there are rules, lists only take away; where there are none, they give.
    effect: layer.rules === undefined ? 'allow' : 'deny',
    value: (against.length === 0) === (layer.rules === undefined),
    reason: against.length === 0 ? 'on the lists' : against.join('; '),
  };
  const profile = { ...own, profile: choice.name };
  const asks: Ask[] = [];
  if (compiled.rules === undefined) {
    const effect = against.length === 0 ? 'allow' : 'deny';
    return { effect, rules: [lists], deciding: [lists], profile, asks };
  }
  const rules: JudgedRule[] = [lists];
  const said: Record<Effect, JudgedRule[]> = { deny: [], ask: [], allow: [] };
  if (against.length > 0) said.deny.push(lists);
  const context = contextOf(compiler, here);
  for (const { rule, when } of compiled.rules) {
    const value = context === undefined || when === undefined ? 'error' : when.holds(context);
    const { id, line, effect } = rule;
    const reason = value === 'error' ? `its condition cannot be judged here` : rule.reason;
    const judged = { ...own, id, line, effect, value, reason };
    rules.push(judged);
    if (value === 'error') said.deny.push(judged);
    else if (value) {
      said[effect].push(judged);
      if (rule.ask !== undefined) asks.push({ ...rule.ask, from: [rule.ask.from] });
    }
  }
  const unspoken: JudgedRule = {
    ...own,
    id: 'default',
    line: 1,
    effect: 'deny',
    value: said.ask.length + said.allow.length === 0,
    reason: 'no rule allows it',
  };
  rules.push(unspoken);
  if (unspoken.value === true) said.deny.push(unspoken);
  const effect = said.deny.length > 0 ? 'deny' : said.ask.length > 0 ? 'ask' : 'allow';
  return { effect, rules, deciding: said[effect], profile, asks };
}

/** Not a task at all, if need be: then it is not on the lists. */
function reasonsOf(input: PolicyInput, choice: Choice): string[] {
  try {
    return reasonsIn(input, choice);
  } catch {
    return ['the lists cannot judge this'];
  }
}

function reasonsIn(input: PolicyInput, choice: Choice): string[] {
  if (choice.broken !== undefined)
    return [`the condition of profile ${choice.broken} cannot be judged`];
  const { lists } = choice;
  const { task, spec } = input;
  const reasons = againstLists({ ...task, limits: limitsOf(task.limits) }, lists).map(
    ({ message }) => message,
  );
  const { reference, digest, origin } = spec.image;
  const isListed = lists.images.some(
    (one) =>
      one.reference === reference &&
      (one.digest === 'pinned' || one.digest === digest) &&
      one.origins.some((each) => each === origin),
  );
  if (!isListed) reasons.push(`image ${reference} is not on the list as it is here`);
  if (!lists.isolation.runtimes.includes(spec.runtime)) {
    reasons.push(`runtime ${spec.runtime} is not allowed`);
  }
  return reasons;
}

function limitsOf(limits: PolicyInput['task']['limits']): Limits {
  return {
    cpuMilli: limits.cpu_milli,
    memoryBytes: limits.memory_bytes,
    pids: limits.pids,
    openFiles: limits.open_files,
    fileSizeBytes: limits.file_size_bytes,
    diskBytes: limits.disk_bytes,
    diskFiles: limits.disk_files,
    tmpBytes: limits.tmp_bytes,
    outputBytes: limits.output_bytes,
    timeoutMs: limits.timeout_ms,
    idleMs: limits.idle_ms,
  };
}

/** Without a document nothing is said, so nothing is allowed. */
function least(effects: readonly Effect[]): Effect {
  if (effects.length === 0 || effects.includes('deny')) return 'deny';
  return effects.includes('ask') ? 'ask' : 'allow';
}

/** What all of them ask for at once. */
export function strictest(asks: readonly Ask[]): Ask {
  return {
    approvals: Math.max(1, ...asks.map(({ approvals }) => approvals)),
    from: distinct(asks.flatMap(({ from }) => from)),
    self: asks.every(({ self }) => self),
    expiresMs: Math.min(...asks.map(({ expiresMs }) => expiresMs)),
  };
}

function distinct(lists: readonly (readonly string[])[]): (readonly string[])[] {
  return [...new Map(lists.map((list) => [JSON.stringify(list.toSorted()), list])).values()];
}

function listsOf(policy: EffectivePolicy): PolicyLists {
  const { images, tools, argv, env, secrets, limits, provision, isolation, mounts } = policy;
  return { images, tools, argv, env, secrets, limits, provision, isolation, mounts };
}
