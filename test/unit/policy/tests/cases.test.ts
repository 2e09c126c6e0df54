import { describe, expect, test } from 'vitest';
import { readPolicy } from '#daemon/policy/document.ts';
import { openJudge } from '#daemon/policy/judge.ts';
import { parseCases } from '#daemon/policy/tests/document.ts';
import { runCases } from '#daemon/policy/tests/run-cases.ts';
import { policyText } from '#test/support/policy-text.ts';

const { policy } = readPolicy(
  policyText(
    'site',
    `
profiles:
  small: { when: 'task.tool == "node"', limits: { memory: 256MiB } }
rules:
  - { id: builds, when: 'task.tool in ["npm", "node"]', effect: allow, reason: builds are fine }
  - { id: eve, when: 'actor.user == "eve"', effect: deny, reason: eve is not welcome }
  - id: prod
    when: task.id == "prod"
    effect: ask
    reason: two people
    ask: { approvals: 2, from: [approver] }
`,
  ),
  'site.yaml',
);

function run(...cases: readonly string[]) {
  const text = `version: 1\ncases:\n${cases.map((one) => `  - ${one}\n`).join('')}`;
  return runCases(openJudge(), policy, [{ file: 'site.test.yaml', text }]);
}

describe('a file of cases', () => {
  test.each([
    ['version: 1\ncases: []', 'too small'],
    ['version: 1\ncases: [{ name: a, expect: maybe }]', 'expect'],
    ['version: 1\ncases: [{ name: a, expect: allow, input: { task: { toool: x } } }]', 'toool'],
    ['version: 1\ncases: [{ name: a, expect: allow, input: { actor: { uid: "0" } } }]', 'uid'],
    [
      'version: 1\ncases: [{ name: a, expect: allow, input: { task: { __proto__: 1 } } }]',
      '__proto__',
    ],
  ])('that is wrong is refused with its place: %s', (text) => {
    expect(() => parseCases(text, 'a.test.yaml')).toThrow(
      expect.objectContaining({
        code: 'policy.invalid',
        places: [expect.objectContaining({ file: 'a.test.yaml', line: 2 })],
      }),
    );
  });

  test('fills in what a case leaves out: first from its defaults, then from an ordinary task', () => {
    const [one] = parseCases(
      `version: 1
defaults: { actor: { user: ada, uid: 7 } }
cases:
  - { name: a, expect: allow, input: { actor: { user: eve }, task: { tool: sh } } }`,
      'a.test.yaml',
    );
    expect(one?.input).toMatchObject({
      actor: { user: 'eve', uid: 7, auth: 'peer' },
      task: { tool: 'sh', env: {} },
    });
    expect(one?.line).toBe(4);
  });
});

describe('a case', () => {
  test('that is not as expected is told with everything that is otherwise', async () => {
    const { failed, cases } = await run(
      '{ name: wrong, input: { actor: { user: eve }, task: { tool: npm } }, expect: allow, rule: builds, profile: other }',
    );
    expect(failed).toBe(1);
    expect(cases[0]?.differs).toEqual([
      'the effect is deny, not allow',
      'decided by site/eve, not by builds',
      'the profile is standard, not other',
    ]);
  });

  test('may name the rule, the profile and the approvals', async () => {
    const { failed } = await run(
      '{ name: a, input: { task: { tool: npm } }, expect: allow, rule: site/builds, profile: standard }',
      '{ name: b, input: { task: { id: prod, tool: npm } }, expect: ask, rule: prod, approvals: 2 }',
      '{ name: c, input: { actor: { user: eve } }, expect: deny, rule: eve }',
    );
    expect(failed).toBe(0);
  });

  test('of another number of approvals is not as expected', async () => {
    const { failed } = await run(
      '{ name: b, input: { task: { id: prod } }, expect: ask, approvals: 1 }',
    );
    expect(failed).toBe(1);
  });
});

describe('coverage', () => {
  test('counts a rule that held and was outvoted as not reached', async () => {
    const { coverage } = await run(
      '{ name: c, input: { actor: { user: eve }, task: { tool: npm } }, expect: deny }',
    );
    expect(coverage.rules.map(({ rule, held, decided }) => [rule, held, decided])).toEqual([
      ['builds', 1, 0],
      ['eve', 1, 1],
      ['prod', 0, 0],
    ]);
    expect(coverage).toMatchObject({ covered: 2, total: 5, percent: 40 });
  });

  test('is whole where every rule decided and every profile applied', async () => {
    const { coverage } = await run(
      '{ name: a, input: { task: { tool: npm } }, expect: allow }',
      '{ name: b, input: { task: { id: prod, tool: node, limits: { memory_bytes: 1000 } } }, expect: ask }',
      '{ name: c, input: { actor: { user: eve } }, expect: deny }',
    );
    expect(coverage.percent).toBe(100);
  });

  test('is refused where cases and rules are too many to judge at once', async () => {
    const cases = Array.from({ length: 9000 }, (_, i) => ({ name: `c-${i}`, expect: 'deny' }));
    const many = readPolicy(
      policyText(
        'many',
        `rules:\n${Array.from({ length: 600 }, (_, i) => `  - { id: r-${i}, when: 'false', effect: deny, reason: x }\n`).join('')}`,
      ),
      'many.yaml',
    ).policy;
    const text = JSON.stringify({ version: 1, cases });
    await expect(runCases(openJudge(), many, [{ file: 'a', text }])).rejects.toMatchObject({
      code: 'request.too_large',
    });
  });
});
