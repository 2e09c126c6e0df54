import { describe, expect, test } from 'vitest';
import { OrchestraError } from '#contract/errors.ts';
import { assertInvariants, examineInvariants } from '#daemon/policy/invariants/check.ts';
import { openJudge } from '#daemon/policy/judge.ts';
import { policyText, statedPolicies } from '#test/support/policy-text.ts';

const judge = openJudge();

function examined(...texts: readonly string[]) {
  return examineInvariants(judge, statedPolicies(...texts));
}

function broken(...texts: readonly string[]): string[] {
  return examined(...texts).violations.map(
    ({ invariant, policy, counterexample }) => `${invariant.name} ${policy}: ${counterexample}`,
  );
}

const twoForProd = `
invariants:
  - id: prod-two
    statement: a secret of production needs two people
    never: >-
      effect != "deny" && "PROD_DB" in task.secrets && ask.approvals < 2
`;
const grant = (text: string) =>
  text.replace('secrets: []', 'secrets: [{ name: PROD_DB, tools: [npm, sh], tasks: ["*"] }]');

describe('an invariant that is broken', () => {
  test('is told with the smallest task that breaks it, and the rule that lets it', () => {
    expect(broken(grant(policyText('default', twoForProd)))).toEqual([
      'default/prod-two default: a task with task.secrets = ["PROD_DB"] comes to allow by default/lists (line 1)',
    ]);
  });

  test('refuses the load, with line and column of what it says', () => {
    const text = grant(policyText('default', twoForProd));
    const line = text.split('\n').findIndex((one) => one.includes('id: prod-two')) + 1;
    try {
      assertInvariants(judge, statedPolicies(text));
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(OrchestraError);
      const { code, places } = error as OrchestraError;
      expect(code).toBe('policy.invalid');
      expect(places).toMatchObject([
        { file: 'default.yaml', line, column: 5, hint: 'a secret of production needs two people' },
      ]);
    }
  });

  test('is found where one approval is not enough', () => {
    const rules = (approvals: number) => `
rules:
  - { id: all, when: 'true', effect: allow, reason: fine }
  - id: prod
    when: '"PROD_DB" in task.secrets'
    effect: ask
    reason: a person looks at it
    ask: { approvals: ${approvals}, from: [approver], self: false }
`;
    expect(broken(grant(policyText('default', twoForProd + rules(1))))).toMatchObject([
      expect.stringContaining('comes to ask with 1 approvals by default/prod'),
    ]);
    expect(broken(grant(policyText('default', twoForProd + rules(2))))).toEqual([]);
  });

  test('is found in another document than the one that states it', () => {
    const ceiling = grant(policyText('default', twoForProd)).replace(
      'name: default',
      'name: default',
    );
    const rules = `
rules:
  - { id: all, when: 'true', effect: allow, reason: fine }
`;
    expect(broken(ceiling, grant(policyText('other', rules)))).toHaveLength(2);
  });

  test('is found only where a run is under the policy that it speaks of', () => {
    const invariant = (policy: string) => `
invariants:
  - id: no-npx
    statement: whoever runs under ${policy} gets no npx
    never: run.policy == "${policy}" && effect == "allow" && task.tool == "npx"
`;
    const npx = (text: string) => text.replace(/tools: \[[^\]]*\]/, 'tools: [npm, npx]');
    const rules = `
rules:
  - { id: no-npx, when: task.tool == "npx", effect: deny, reason: nobody looked at it }
  - { id: rest, when: 'true', effect: allow, reason: fine }
`;
    const standard = npx(policyText('default', ''));
    const team = npx(policyText('team', rules + invariant('team')));
    expect(broken(standard, team)).toEqual([]);
    expect(broken(npx(policyText('default', invariant('default'))), team)).toHaveLength(1);
  });

  test('is found behind a number that only one condition names', () => {
    const text = policyText(
      'default',
      `
rules:
  - { id: small, when: task.limits.pids < 100, effect: allow, reason: small }
  - { id: odd, when: task.limits.pids == 333 && actor.user == "eve", effect: allow, reason: oops }
invariants:
  - id: few
    statement: nobody has more than 100 processes
    never: effect == "allow" && task.limits.pids > 100
`,
    );
    expect(broken(text)).toEqual([
      'default/few default: a task with task.limits.pids = 333, actor.user = "eve" comes to allow by default/odd (line ' +
        `${text.split('\n').findIndex((one) => one.includes('id: odd')) + 1})`,
    ]);
  });

  test('is found behind a pattern', () => {
    const text = policyText(
      'default',
      `
rules:
  - id: release
    when: task.id.matches("^release-[0-9]+$")
    effect: allow
    reason: a release
invariants:
  - { id: closed, statement: nothing is allowed, never: effect == "allow" }
`,
    );
    expect(broken(text)).toEqual([expect.stringContaining('task.id = "release-0"')]);
  });

  test('counts one that cannot be judged as broken', () => {
    const text = policyText(
      'default',
      'invariants: [{ id: odd, statement: x, never: \'task.env["NOT"] == "a"\' }]',
    );
    expect(broken(text)).toHaveLength(1);
  });

  test('is found among thousands of rules that keep it', () => {
    const rules = Array.from(
      { length: 800 },
      (_, i) =>
        `  - { id: r-${i}, when: 'task.id == "task-${i}" && actor.user == "user-${i}"', effect: ${i === 517 ? 'allow' : 'deny'}, reason: x }`,
    );
    const text = policyText(
      'default',
      `invariants: [{ id: none, statement: nothing is allowed, never: effect == "allow" }]\nrules:\n${rules.join('\n')}\n`,
    );
    expect(broken(text)).toEqual([
      expect.stringContaining('task.id = "task-517", actor.user = "user-517" comes to allow'),
    ]);
  });
});

describe('an invariant about profiles', () => {
  const noNetwork = `
invariants:
  - { id: offline, statement: no profile grants network, never: size(profile.registries) > 0 }
`;
  test('is broken by any profile of any document, told by its name', () => {
    const profiles = `
profiles:
  offline: { when: 'task.tool == "node"', provision: { registries: [] } }
`;
    expect(broken(policyText('default', noNetwork + profiles))).toEqual([
      'default/offline default: profile standard of default grants registries ["configured"]',
    ]);
  });

  test('holds where every profile keeps it', () => {
    const closed = (text: string) =>
      text
        .replace('registries: [configured]', 'registries: []')
        .replace('  packages: ', '  packages: ');
    expect(broken(closed(policyText('default', noNetwork)))).toEqual([]);
    // What the ceiling does not grant, a document beneath it cannot.
    expect(broken(closed(policyText('default', noNetwork)), policyText('other'))).toEqual([]);
  });
});

describe('an invariant that holds', () => {
  test('is said to be proven where conditions ask only what a few values stand for', () => {
    const rules = `
rules:
  - { id: all, when: 'actor.user != "eve"', effect: allow, reason: fine }
invariants:
  - { id: eve, statement: eve gets nothing, never: 'effect != "deny" && actor.user == "eve"' }
`;
    expect(examined(policyText('default', rules))).toMatchObject({
      violations: [],
      searched: [{ policy: 'default', exhaustive: true }],
    });
  });

  test('is said to be searched where a condition asks for parts of a text', () => {
    const rules = `
rules:
  - { id: all, when: 'actor.user.startsWith("a")', effect: allow, reason: fine }
invariants:
  - { id: eve, statement: eve gets nothing, never: 'effect != "deny" && actor.user == "eve"' }
`;
    expect(examined(policyText('default', rules))).toMatchObject({
      violations: [],
      searched: [{ policy: 'default', exhaustive: false }],
    });
  });

  test('costs nothing where there is none', () => {
    expect(examined(policyText('default'))).toEqual({
      invariants: 0,
      searched: [],
      violations: [],
    });
  });
});
