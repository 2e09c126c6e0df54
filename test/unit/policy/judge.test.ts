import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { digestOf } from '#daemon/base/canonical.ts';
import type { Limits } from '#contract/limits.ts';
import { readPolicy } from '#daemon/policy/document.ts';
import {
  seal,
  type EffectivePolicy,
  type LayerRule,
  type PolicyLayer,
  type PolicyLists,
} from '#daemon/policy/effective.ts';
import { openJudge } from '#daemon/policy/judge.ts';
import { ruleName, type Effect, type PolicyInput } from '#daemon/policy/judgement.ts';
import { againstLists } from '#daemon/policy/lists.ts';
import { narrow, narrowLists } from '#daemon/policy/narrow.ts';
import { widest } from '#daemon/policy/widest.ts';
import { shippedPolicy } from '#test/support/policies.ts';
import { policyInput } from '#test/support/policy-input.ts';

const shipped = readFileSync(new URL('../../../policies/default.yaml', import.meta.url), 'utf8');

/** The policy that ships, with more in it. */
function policyWith(more: string, text = shipped): EffectivePolicy {
  return readPolicy(`${text}\n${more}`, 'default.yaml').policy;
}

const judging = openJudge();
const judge = (policy: EffectivePolicy, input: PolicyInput) => judging.judge(policy, input);
const listsFor = (policy: EffectivePolicy, input: PolicyInput) => judging.listsFor(policy, input);

const deciding = (policy: EffectivePolicy, input = policyInput()) => {
  const judgement = judge(policy, input);
  return [judgement.effect, ...judgement.deciding.map(ruleName)];
};

test('without a document nothing is said, so nothing is allowed', () => {
  const none = { ...shippedPolicy('default'), documents: [] };
  expect(judge(none, policyInput()).effect).toBe('deny');
});

test('with rules, what none of them speaks for is denied, and a list alone gives nothing', () => {
  const policy = policyWith(`
rules:
  - { id: builds, when: task.tool == "node", effect: allow, reason: programs of our own }
`);
  expect(deciding(policy)).toEqual(['deny', 'default/default']);
  expect(deciding(policy, policyInput({ task: { tool: 'node', args: ['a.js'] } }))).toEqual([
    'allow',
    'default/builds',
  ]);
});

test('what no list names is denied, whatever rules say', () => {
  const policy = policyWith(`
rules:
  - { id: all, when: 'true', effect: allow, reason: everything }
`);
  const made = policyInput({ task: { tool: 'make', args: [] } });
  expect(deciding(policy, made)).toEqual(['deny', 'default/lists']);
  expect(judge(policy, made).deciding[0]?.reason).toContain('tool make is not allowed');
});

test('deny beats ask beats allow, and each rule is named by document, line and digest of the text', () => {
  const text = `${shipped}
rules:
  - { id: all, when: 'true', effect: allow, reason: everything }
  - { id: publish, when: 'task.args.exists(a, a == "publish")', effect: ask, reason: it leaves the house }
  - { id: never, when: 'has(task.env.FORCE)', effect: deny, reason: nobody forces anything }
`;
  const { policy } = readPolicy(text, 'default.yaml');
  expect(deciding(policy)).toEqual(['allow', 'default/all']);
  const publish = { tool: 'sh', args: ['-c', 'x', 'publish'] };
  expect(deciding(policy, policyInput({ task: publish }))).toEqual(['ask', 'default/publish']);
  const forced = policyInput({ task: { ...publish, env: { FORCE: '1' } } });
  expect(deciding(policy, forced)).toEqual(['deny', 'default/never']);
  const [rule] = judge(policy, forced).deciding;
  expect(text.split('\n')[(rule?.line ?? 0) - 1]).toContain('id: never');
  expect(rule?.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(judge(policy, forced).rules.map(({ id, value }) => `${id} ${value}`)).toEqual([
    'lists false',
    'all true',
    'publish true',
    'never true',
    'default false',
  ]);
});

test.each(['allow', 'ask', 'deny'])(
  'a rule with effect %s whose condition breaks denies, and says so',
  (effect) => {
    const policy = policyWith(`
rules:
  - { id: all, when: 'true', effect: allow, reason: everything }
  - { id: broken, when: task.env.MISSING == "x", effect: ${effect}, reason: x }
`);
    expect(deciding(policy)).toEqual(['deny', 'default/broken']);
    expect(judge(policy, policyInput()).deciding[0]).toMatchObject({
      value: 'error',
      reason: expect.stringContaining('cannot be judged') as string,
    });
  },
);

test('a profile whose condition breaks is no profile: the task is denied', () => {
  const policy = policyWith(`
profiles:
  odd: { when: task.env.MISSING == "x" }
`);
  expect(deciding(policy)).toEqual(['deny', 'default/lists']);
});

test('an input that is not what the table says is denied', () => {
  const policy = policyWith(`
rules:
  - { id: all, when: 'true', effect: allow, reason: everything }
`);
  expect(judge(policy, policyInput({ actor: { uid: 0.5 } })).effect).toBe('deny');
});

test('a condition that a later version cannot read any more denies', () => {
  const { documents, ...rest } = policyWith(`
rules:
  - { id: all, when: 'true', effect: allow, reason: everything }
`);
  const [layer] = documents;
  if (layer?.rules === undefined) throw new Error('no rules');
  const rules = layer.rules.map((rule) => ({ ...rule, when: 'task.gone == 1' }));
  const policy = seal({ ...rest, documents: [{ ...layer, rules }] });
  expect(deciding(policy)).toEqual(['deny', 'default/all', 'default/default']);
});

test('the first profile whose condition holds is the task’s own, the document itself the last', () => {
  const policy = policyWith(`
profiles:
  release:
    when: task.id.startsWith("release")
    tools: [{ name: npm, argv: [publish *, 'run *', test] }]
    limits: { memory: 4GiB }
  late:
    when: task.id == "release-2"
  quiet:
    when: task.id == "quiet"
    tools: []
`);
  const profile = (id: string) => judge(policy, policyInput({ task: { id } })).profile;
  expect(['release', 'release-2', 'quiet', 'test'].map(profile)).toEqual([
    'release',
    'release',
    'quiet',
    'standard',
  ]);
  expect(deciding(policy, policyInput({ task: { id: 'quiet' } }))).toEqual([
    'deny',
    'default/lists',
  ]);
  const limits = (id: string) => listsFor(policy, policyInput({ task: { id } })).limits.memoryBytes;
  expect(limits('release')).toBe(4 * 1024 ** 3);
  expect(limits('test')).toBe(2 * 1024 ** 3);
  expect(policy.limits.memoryBytes).toBe(4 * 1024 ** 3);
  const run = policyInput({ task: { id: 'release', args: ['run', 'build'] } });
  expect(judge(policy, run).effect).toBe('allow');
  const ci = policyInput({ task: { id: 'release', args: ['ci'], provisions: ['npm'] } });
  expect(judge(policy, ci).deciding[0]?.reason).toContain('arguments of npm are not on the list');
});

test('a rule sees the profile of its own document', () => {
  const policy = policyWith(`
profiles:
  ours: { when: task.id == "test" }
rules:
  - { id: ours, when: spec.profile == "ours", effect: allow, reason: x }
`);
  expect(deciding(policy)).toEqual(['allow', 'default/ours']);
  expect(deciding(policy, policyInput({ task: { id: 'other' } }))[0]).toBe('deny');
});

test('what several rules ask for is asked for at once, the strictest of each', () => {
  const policy = policyWith(`
rules:
  - id: two
    when: 'true'
    effect: ask
    reason: a
    ask: { approvals: 2, from: [group:leads, admin], expires: 2h }
  - { id: other, when: 'true', effect: ask, reason: b, ask: { self: false, expires: 8h } }
  - { id: again, when: 'true', effect: ask, reason: c, ask: { from: [admin, group:leads] } }
  - { id: no, when: 'false', effect: ask, reason: d, ask: { approvals: 9 } }
`);
  expect(judge(policy, policyInput())).toMatchObject({
    effect: 'ask',
    ask: {
      approvals: 2,
      from: [['admin', 'group:leads'], ['approver']],
      self: false,
      expiresMs: 2 * 3_600_000,
    },
  });
});

test('the ceiling asks for what the document beneath it would allow', () => {
  const ceiling = policyWith(`
rules:
  - { id: all, when: 'true', effect: ask, reason: ask first }
`);
  const below = readPolicy(shipped.replace('name: default', 'name: below'), 'below.yaml').policy;
  const { policy } = narrow(ceiling, below);
  expect(deciding(policy)).toEqual(['ask', 'default/all']);
  expect(policy.name).toBe('below');
});

// Properties, over documents and tasks that are put together at random.

const conditions = [
  'true',
  'false',
  'task.tool == "npm"',
  'task.args.exists(a, a == "test")',
  'task.env.A == "1"',
  '"A" in task.env',
  'actor.uid == 0',
  '"admin" in actor.roles',
  'task.limits.pids > 100',
  'history.runs_today > 1 || spec.runtime == "runsc"',
  'spec.profile == "p"',
];
const some = <T>(...items: T[]) => fc.uniqueArray(fc.constantFrom(...items));
const effect = fc.constantFrom<Effect>('allow', 'deny', 'ask');
const rule: fc.Arbitrary<LayerRule> = fc
  .record({
    when: fc.constantFrom(...conditions),
    effect,
    approvals: fc.integer({ min: 1, max: 4 }),
    from: some('approver', 'admin', 'group:leads').filter((list) => list.length > 0),
    self: fc.boolean(),
    expiresMs: fc.integer({ min: 1, max: 9 }),
  })
  .map(({ when, effect: what, ...ask }) => ({
    id: 'r',
    when,
    effect: what,
    reason: 'because',
    line: 1,
    ...(what === 'ask' ? { ask } : {}),
  }));
const rules = fc
  .array(rule, { maxLength: 5 })
  .map((all) => all.map((one, i) => ({ ...one, id: `r${i}` })));
const limit = fc.constantFrom(50, 150, 1000);
const base = shippedPolicy('default');
const lists: fc.Arbitrary<PolicyLists> = fc
  .record({
    tools: some('npm', 'node', 'sh'),
    argv: fc.array(
      fc.record({
        tool: fc.constantFrom('npm', 'node'),
        patterns: some('test', 'run *', '**', '*'),
      }),
      { maxLength: 2 },
    ),
    env: some('A', 'A*', '*'),
    pids: limit,
    runtimes: some('runc', 'runsc'),
    mounts: some<'packages' | 'secrets'>('packages', 'secrets'),
  })
  .map(({ tools, argv, env, pids, runtimes, mounts }) => ({
    images: base.images,
    tools,
    argv,
    env,
    secrets: [],
    limits: { ...base.limits, pids },
    provision: base.provision,
    isolation: { ...base.isolation, runtimes },
    mounts,
  }));
const layer: fc.Arbitrary<PolicyLayer> = fc
  .record({
    standard: lists,
    profiles: fc.array(fc.record({ when: fc.constantFrom(...conditions.slice(0, 8)), lists }), {
      maxLength: 2,
    }),
    rules: fc.option(rules, { nil: undefined }),
    seed: fc.integer({ min: 0, max: 2 ** 40 }),
    growth: fc.constantFrom<'off' | 'ask'>('off', 'off', 'ask'),
  })
  .map(({ standard, profiles, rules: all, seed, growth }) => ({
    name: 'doc',
    // Two documents of one digest are one document.
    digest: digestOf({ standard, profiles, rules: all, seed, growth }),
    standard,
    profiles: profiles.map((one, i) => ({ ...one, name: i === 0 ? 'p' : 'q', line: 1 })),
    ...(all === undefined ? {} : { rules: all }),
    toolsGrowth: growth,
  }));
const policyOf = (one: PolicyLayer): EffectivePolicy =>
  seal({ name: 'doc', ...widest(one), run: base.run, documents: [one] });
const input: fc.Arbitrary<PolicyInput> = fc
  .record({
    tool: fc.constantFrom('npm', 'node', 'sh', 'make'),
    args: fc.constantFrom(['test'], ['run', 'x'], ['a.js'], []),
    env: fc.constantFrom<Record<string, string>>({}, { A: '1' }, { A: '2', AB: '' }, { C: '' }),
    pids: fc.constantFrom(40, 120, 900),
    uid: fc.constantFrom(0, 1000),
    roles: some('admin', 'runner'),
    runtime: fc.constantFrom('runc', 'runsc'),
    runsToday: fc.integer({ min: 0, max: 3 }),
  })
  .map(({ tool, args, env, pids, uid, roles, runtime, runsToday }) => {
    const plain = policyInput();
    return policyInput({
      actor: { uid, roles },
      task: { tool, args, env, limits: { ...plain.task.limits, pids } },
      spec: { runtime },
      history: { ...plain.history, runs_today: runsToday, tool_allowed: runsToday !== 2 },
    });
  });

const level: Readonly<Record<Effect, number>> = { deny: 0, ask: 1, allow: 2 };
const asTask = (one: PolicyInput) => {
  const limits: Limits = { ...base.limits, pids: one.task.limits.pids };
  return { ...one.task, limits };
};

test('one more document never gives more: no level, no list, no limit, no easier leave', () => {
  fc.assert(
    fc.property(layer, layer, input, (above, below, one) => {
      const [a, b] = [policyOf(above), policyOf(below)];
      const { policy: both } = narrow(a, b);
      const [ja, jb, jab] = [a, b, both].map((policy) => judging.judge(policy, one));
      if (ja === undefined || jb === undefined || jab === undefined) throw new Error('none');
      expect(level[jab.effect]).toBe(Math.min(level[ja.effect], level[jb.effect]));
      if (jab.ask !== undefined) {
        for (const { ask } of [ja, jb]) {
          if (ask === undefined) continue;
          expect(jab.ask.approvals).toBeGreaterThanOrEqual(ask.approvals);
          expect(jab.ask.expiresMs).toBeLessThanOrEqual(ask.expiresMs);
          expect(jab.ask.self && !ask.self).toBe(false);
          const said = jab.ask.from.map((list) => list.toSorted().join());
          expect(ask.from.every((list) => said.includes(list.toSorted().join()))).toBe(true);
        }
      }
      const listed = judging.listsFor(both, one);
      const alone = [judging.listsFor(a, one), judging.listsFor(b, one)];
      for (const wider of [...alone, both]) {
        // To narrow by what it came from changes nothing: it is within.
        const within = narrowLists(wider, listed, () => {});
        expect({ ...within, argv: [] }).toEqual({ ...within, ...plainLists(listed), argv: [] });
      }
      for (const wider of alone) {
        if (againstLists(asTask(one), listed).length > 0) continue;
        expect(againstLists(asTask(one), wider)).toEqual([]);
      }
    }),
    { numRuns: 500 },
  );
});

function plainLists(policy: EffectivePolicy): PolicyLists {
  const { images, tools, argv, env, secrets, limits, provision, isolation, mounts } = policy;
  return { images, tools, argv, env, secrets, limits, provision, isolation, mounts };
}

test('the order of rules, and of documents, changes nothing', () => {
  fc.assert(
    fc.property(layer, layer, input, (one, other, what) => {
      const straight = judging.judge(policyOf(one), what);
      const turned = {
        ...one,
        ...(one.rules === undefined ? {} : { rules: one.rules.toReversed() }),
      };
      const reversed = judging.judge(policyOf(turned), what);
      expect(reversed.effect).toBe(straight.effect);
      expect(sorted(reversed.deciding.map(ruleName))).toEqual(
        sorted(straight.deciding.map(ruleName)),
      );
      expect(asked(reversed.ask)).toEqual(asked(straight.ask));
      const both = judging.judge(narrow(policyOf(one), policyOf(other)).policy, what);
      const swapped = judging.judge(narrow(policyOf(other), policyOf(one)).policy, what);
      expect(swapped.effect).toBe(both.effect);
      expect(asked(swapped.ask)).toEqual(asked(both.ask));
    }),
    { numRuns: 300 },
  );
});

const sorted = (words: readonly string[]) => words.toSorted();
const asked = (ask: { from: readonly (readonly string[])[] } | undefined) =>
  ask && { ...ask, from: ask.from.map((list) => list.toSorted().join()).toSorted() };

test('it never throws, always says who decided, and a rule that breaks never lets anything through', () => {
  const odd = fc.record({
    actor: fc.anything(),
    run: fc.anything(),
    task: fc.anything(),
    spec: fc.anything(),
    history: fc.anything(),
  });
  fc.assert(
    fc.property(layer, fc.oneof(input, input, odd as fc.Arbitrary<PolicyInput>), (one, what) => {
      const { effect: found, deciding: by, rules: all, ask } = judging.judge(policyOf(one), what);
      expect(by.length).toBeGreaterThan(0);
      expect(ask !== undefined).toBe(found === 'ask');
      if (all.some(({ value }) => value === 'error')) expect(found).toBe('deny');
    }),
    { numRuns: 500 },
  );
});
