import { formatLimit, limitNames, limitWords } from '#contract/limits.ts';
import type { PolicyDiff } from '#contract/policy-tools.ts';
import { formatDuration, formatSize } from '#contract/units.ts';
import type { EffectivePolicy, LayerRule, PolicyLayer, PolicyLists } from '../effective.ts';

export type Change = PolicyDiff['changes'][number];

/** What two policies say differently, in words. What comes of it is not judged here. */
export function changesBetween(before: EffectivePolicy, after: EffectivePolicy): Change[] {
  const [one, other] = [ownLayer(before), ownLayer(after)];
  return [
    ...runChanges(before, after),
    ...listChanges('standard', one.standard, other.standard),
    ...profileChanges(one, other),
    ...ruleChanges(one, other),
    ...growthChanges(one, other),
    ...autonomyChanges(one, other),
  ];
}

/** What they said before they were put beneath a ceiling. */
function ownLayer({ documents }: EffectivePolicy): PolicyLayer {
  const own = documents.at(-1);
  if (own === undefined) throw new Error('a policy without a document');
  return own;
}

const demands = ['off', 'preferred', 'required'];

function listChanges(profile: string, before: PolicyLists, after: PolicyLists): Change[] {
  const where = (part: string) => (profile === 'standard' ? part : `profiles.${profile}.${part}`);
  const set = (part: string, a: readonly string[], b: readonly string[]) =>
    setChanges(where(part), a, b);
  const argv = (lists: PolicyLists) =>
    lists.argv.map(({ tool, patterns }) => `${tool}: ${patterns.join(' | ')}`);
  return [
    ...set('images', before.images.map(imageInWords), after.images.map(imageInWords)),
    ...set('tools', before.tools, after.tools),
    // A pattern takes away: fewer of them is more.
    ...set('tools.argv', argv(before), argv(after)).map(inverted),
    ...set('env', before.env, after.env),
    ...set('secrets', before.secrets.map(grantInWords), after.secrets.map(grantInWords)),
    ...set('mounts', before.mounts, after.mounts),
    ...set('provision.registries', before.provision.registries, after.provision.registries),
    ...limitNames.flatMap((name) =>
      numberChange(
        where(`limits.${limitWords[name]}`),
        [before.limits[name], after.limits[name]],
        (value) => formatLimit(name, value),
      ),
    ),
    ...numberChange(
      where('provision.package_bytes'),
      [before.provision.packageBytes, after.provision.packageBytes],
      formatSize,
    ),
    ...numberChange(
      where('provision.total_bytes'),
      [before.provision.totalBytes, after.provision.totalBytes],
      formatSize,
    ),
    ...numberChange(where('provision.packages'), [
      before.provision.packages,
      after.provision.packages,
    ]),
    ...(['seccomp', 'apparmor', 'selinux', 'userns'] as const).flatMap((name): Change[] => {
      const [a, b] = [before.isolation[name], after.isolation[name]];
      if (a === b) return [];
      const way = demands.indexOf(b) < demands.indexOf(a) ? 'wider' : 'narrower';
      return [{ where: where(`isolation.${name}`), what: `${a} → ${b}`, way }];
    }),
    ...orderedChanges(
      where('isolation.runtimes'),
      before.isolation.runtimes,
      after.isolation.runtimes,
    ),
  ];
}

function runChanges({ run: a }: EffectivePolicy, { run: b }: EffectivePolicy): Change[] {
  return [
    ...numberChange('run.tasks', [a.tasks, b.tasks]),
    ...numberChange('run.concurrency', [a.concurrency, b.concurrency]),
    ...numberChange('run.timeout', [a.timeoutMs, b.timeoutMs], formatDuration),
    ...numberChange('run.workspace_files', [a.workspaceFiles, b.workspaceFiles]),
    ...numberChange('run.workspace_bytes', [a.workspaceBytes, b.workspaceBytes], formatSize),
    ...numberChange('run.artifact_files', [a.artifactFiles, b.artifactFiles]),
    ...numberChange('run.artifact_bytes', [a.artifactBytes, b.artifactBytes], formatSize),
  ];
}

function profileChanges(before: PolicyLayer, after: PolicyLayer): Change[] {
  const old = new Map(before.profiles.map((profile) => [profile.name, profile]));
  const changes = after.profiles.flatMap((profile): Change[] => {
    const where = `profiles.${profile.name}`;
    const known = old.get(profile.name);
    if (known === undefined) return [{ where, what: 'is new', way: 'other' }];
    const when: Change[] =
      known.when === profile.when
        ? []
        : [{ where: `${where}.when`, what: replaced(known.when, profile.when), way: 'other' }];
    return [...when, ...listChanges(profile.name, known.lists, profile.lists)];
  });
  const gone = before.profiles
    .filter(({ name }) => !after.profiles.some((profile) => profile.name === name))
    .map(({ name }): Change => ({ where: `profiles.${name}`, what: 'is gone', way: 'other' }));
  const names = (layer: PolicyLayer, other: PolicyLayer) =>
    layer.profiles
      .map(({ name }) => name)
      .filter((name) => other.profiles.some((profile) => profile.name === name))
      .join(', ');
  const [a, b] = [names(before, after), names(after, before)];
  const order: Change[] =
    a === b ? [] : [{ where: 'profiles', what: `tried as ${b}, not ${a}`, way: 'other' }];
  return [...changes, ...gone, ...order];
}

function ruleChanges(before: PolicyLayer, after: PolicyLayer): Change[] {
  if (before.rules === undefined && after.rules === undefined) return [];
  const [a, b] = [before.rules ?? [], after.rules ?? []];
  const old = new Map(a.map((rule) => [rule.id, rule]));
  const kept = new Set(b.map(({ id }) => id));
  const whole: Change[] =
    (before.rules === undefined) === (after.rules === undefined)
      ? []
      : [
          before.rules === undefined
            ? { where: 'rules', what: 'what no rule speaks for is denied now', way: 'narrower' }
            : { where: 'rules', what: 'what the lists name is allowed now', way: 'wider' },
        ];
  return [
    ...whole,
    ...b.flatMap((rule): Change[] => {
      const known = old.get(rule.id);
      const where = `rules.${rule.id}`;
      if (known === undefined) {
        return [{ where, what: `is new: ${rule.effect} when ${rule.when}`, way: newWay(rule) }];
      }
      return changesOfRule(where, known, rule);
    }),
    ...a
      .filter(({ id }) => !kept.has(id))
      .map((rule): Change =>
        inverted({
          where: `rules.${rule.id}`,
          what: `is gone: ${rule.effect} when ${rule.when}`,
          way: newWay(rule),
        }),
      ),
  ];
}

function changesOfRule(where: string, a: LayerRule, b: LayerRule): Change[] {
  const changes: Change[] = [];
  const say = (part: string, what: string, way: Change['way']) =>
    changes.push({ where: `${where}.${part}`, what, way });
  if (a.effect !== b.effect) {
    const order = ['deny', 'ask', 'allow'];
    const way = order.indexOf(b.effect) > order.indexOf(a.effect) ? 'wider' : 'narrower';
    say('effect', `${a.effect} → ${b.effect}`, way);
  }
  if (a.when !== b.when) say('when', replaced(a.when, b.when), 'other');
  if (a.ask !== undefined && b.ask !== undefined) {
    const [one, other] = [a.ask, b.ask];
    // Who needs more approvals, or less time, can do less.
    changes.push(
      ...numberChange(`${where}.ask.approvals`, [one.approvals, other.approvals]).map(inverted),
      ...numberChange(`${where}.ask.expires`, [one.expiresMs, other.expiresMs], formatDuration),
      ...setChanges(`${where}.ask.from`, one.from, other.from),
    );
    if (one.self !== other.self) {
      say('ask.self', `${one.self} → ${other.self}`, other.self ? 'wider' : 'narrower');
    }
  }
  return changes;
}

function growthChanges(before: PolicyLayer, after: PolicyLayer): Change[] {
  if (before.toolsGrowth === after.toolsGrowth) return [];
  const what = `${before.toolsGrowth} → ${after.toolsGrowth}`;
  return [{ where: 'tools_growth', what, way: after.toolsGrowth === 'off' ? 'wider' : 'narrower' }];
}

function autonomyChanges(before: PolicyLayer, after: PolicyLayer): Change[] {
  if (before.autonomous === after.autonomous) return [];
  const words = ({ autonomous }: PolicyLayer) => (autonomous ? 'allowed' : 'off');
  const what = `${words(before)} → ${words(after)}`;
  return [{ where: 'autonomous', what, way: after.autonomous ? 'wider' : 'narrower' }];
}

function newWay({ effect }: LayerRule): Change['way'] {
  if (effect === 'ask') return 'other';
  return effect === 'allow' ? 'wider' : 'narrower';
}

function setChanges(where: string, a: readonly string[], b: readonly string[]): Change[] {
  const added = b.filter((one) => !a.includes(one));
  const gone = a.filter((one) => !b.includes(one));
  return [
    ...added.map((one): Change => ({ where, what: `${one} is new`, way: 'wider' })),
    ...gone.map((one): Change => ({ where, what: `${one} is gone`, way: 'narrower' })),
  ];
}

/** A list that is a set and an order as well. */
function orderedChanges(where: string, a: readonly string[], b: readonly string[]): Change[] {
  const changes = setChanges(where, a, b);
  const order = (list: readonly string[], other: readonly string[]) =>
    list.filter((one) => other.includes(one)).join(', ');
  if (order(a, b) !== order(b, a)) {
    changes.push({ where, what: `tried as ${order(b, a)}, not ${order(a, b)}`, way: 'other' });
  }
  return changes;
}

function numberChange(
  where: string,
  [a, b]: readonly [number, number],
  inWords: (value: number) => string = String,
): Change[] {
  if (a === b) return [];
  return [{ where, what: `${inWords(a)} → ${inWords(b)}`, way: b > a ? 'wider' : 'narrower' }];
}

function inverted(change: Change): Change {
  const ways = { wider: 'narrower', narrower: 'wider', other: 'other' } as const;
  return { ...change, way: ways[change.way] };
}

function replaced(a: string | undefined, b: string | undefined): string {
  return `${a ?? 'always'} → ${b ?? 'always'}`;
}

function imageInWords({ reference, digest, origins }: PolicyLists['images'][number]): string {
  return `${reference} (${digest === 'pinned' ? '' : `${digest}, `}${origins.toSorted().join(' or ')})`;
}

function grantInWords({ name, tools, tasks }: PolicyLists['secrets'][number]): string {
  return `${name} for ${tools.join(', ')} in ${tasks.join(', ')}`;
}
