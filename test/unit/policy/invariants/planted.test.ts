import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { examineInvariants } from '#daemon/policy/invariants/check.ts';
import { openJudge } from '#daemon/policy/judge.ts';
import { policyText, statedPolicies } from '#test/support/policy-text.ts';

const judge = openJudge();
const word = fc.stringMatching(/^[a-z]{1,8}$/);
const number = fc.integer({ min: 1, max: 1_000_000 });
/** Questions about different places, so that a few of them can always be true at once. */
const questions = fc.tuple(
  word.map((text) => `task.id == "t${text}"`),
  word.map((text) => `actor.user.startsWith("${text}")`),
  word.map((text) => `"${text}" in actor.groups`),
  number.map((n) => `run.workspace.files > ${n}`),
  number.map((n) => `history.runs_today == ${n}`),
  fc.constantFrom('task.side_effects', '!task.side_effects'),
  word.map((text) => `"${text.toUpperCase()}" in task.env`),
  word.map((text) => `run.intent.matches("^${text}-[0-9]+$")`),
  word.map((text) => `actor.roles.exists(r, r == "${text}")`),
);
const hole = questions.chain((all) => fc.subarray([...all], { minLength: 1, maxLength: 9 }));
const harmless = fc.array(
  fc.tuple(word, number).map(([text, n]) => `task.cwd == "${text}" && run.concurrency > ${n}`),
  { maxLength: 20 },
);

function documentWith(rules: readonly { when: string; effect: string }[]): string {
  const lines = rules.map(
    ({ when, effect }, i) => `  - { id: r-${i}, when: '${when}', effect: ${effect}, reason: x }`,
  );
  return policyText(
    'site',
    `invariants: [{ id: none, statement: nothing is allowed, never: effect == "allow" }]
rules:
${lines.join('\n')}
`,
  );
}

test('finds the hole that one rule of many is, and its task really goes through', () => {
  fc.assert(
    fc.property(hole, harmless, fc.nat(20), (asked, others, at) => {
      const rules = others.map((when) => ({ when, effect: 'deny' }));
      rules.splice(Math.min(at, rules.length), 0, { when: asked.join(' && '), effect: 'allow' });
      const documents = statedPolicies(documentWith(rules));
      const { violations } = examineInvariants(judge, documents);
      expect(violations).toHaveLength(1);
      const [{ input } = {}] = violations;
      const [document] = documents;
      if (input === undefined || document === undefined) throw new Error('no counterexample');
      expect(judge.judge(document.applied, input).effect).toBe('allow');
    }),
    { numRuns: 20 },
  );
});

test('finds nothing where every rule denies', () => {
  fc.assert(
    fc.property(fc.array(hole, { minLength: 1, maxLength: 5 }), (all) => {
      const rules = all.map((asked) => ({ when: asked.join(' && '), effect: 'deny' }));
      expect(examineInvariants(judge, statedPolicies(documentWith(rules))).violations).toEqual([]);
    }),
    { numRuns: 10 },
  );
});
