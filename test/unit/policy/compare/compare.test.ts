import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compareDecisions } from '#daemon/policy/compare/decisions.ts';
import { changesBetween } from '#daemon/policy/compare/said.ts';
import { readPolicy } from '#daemon/policy/document.ts';
import { openJudge } from '#daemon/policy/judge.ts';
import { policyText } from '#test/support/policy-text.ts';

const base = `
rules:
  - { id: builds, when: 'task.tool in ["npm", "node"]', effect: allow, reason: builds are fine }
  - { id: eve, when: 'actor.user == "eve"', effect: deny, reason: eve is not welcome }
`;
const read = (more: string, edit = (text: string) => text) =>
  readPolicy(edit(policyText('site', more)), 'site.yaml').policy;
const compared = (...[a, b]: [ReturnType<typeof read>, ReturnType<typeof read>]) =>
  compareDecisions(openJudge(), a, b);

describe('what two documents decide differently', () => {
  test('is nothing where they are the same', async () => {
    const answer = await compared(read(base), read(base));
    expect(answer).toMatchObject({ opened: [], closed: [], altered: [], exhaustive: true });
  });

  test('is nothing where rules stand in another order', async () => {
    const [head = '', ...rules] = base.trim().split('\n');
    const turned = [head, ...rules.toReversed()].join('\n');
    const answer = await compared(read(base), read(turned));
    expect([...answer.opened, ...answer.closed, ...answer.altered]).toEqual([]);
  });

  test('is shown as the smallest task that becomes impossible', async () => {
    const more = `${base}  - { id: no, when: 'task.id == "x" && run.planner == "model"', effect: deny, reason: no }\n`;
    const { closed, opened } = await compared(read(base), read(more));
    expect(opened).toEqual([]);
    expect(closed[0]).toMatchObject({
      before: 'allow',
      after: 'deny',
      given: [
        { path: 'task.id', value: '"x"' },
        { path: 'run.planner', value: '"model"' },
      ],
    });
  });

  test('is shown as a task that becomes possible', async () => {
    const wider = base.replace('["npm", "node"]', '["npm", "node", "sh"]');
    const { closed, opened } = await compared(read(base), read(wider));
    expect(closed).toEqual([]);
    expect(opened[0]).toMatchObject({
      after: 'allow',
      given: [{ path: 'task.tool', value: '"sh"' }],
    });
  });

  test('is another number of approvals', async () => {
    const ask = (approvals: number) =>
      `${base}  - { id: two, when: 'task.side_effects', effect: ask, reason: x, ask: { approvals: ${approvals} } }\n`;
    const { altered } = await compared(read(ask(1)), read(ask(2)));
    expect(altered).toMatchObject([
      { before: 'ask', after: 'ask', given: [{ path: 'task.side_effects', value: 'true' }] },
    ]);
  });

  test('lies between two limits', async () => {
    const { closed } = await compared(
      read(base),
      read(base, (text) => text.replace('pids: 512', 'pids: 100')),
    );
    expect(closed[0]?.given).toEqual([{ path: 'task.limits.pids', value: expect.any(String) }]);
  });

  test('is said to be searched where a condition asks for parts of a text', async () => {
    const parts = base.replace('actor.user == "eve"', 'actor.user.startsWith("e")');
    const { exhaustive, closed } = await compared(read(base), read(parts));
    expect(exhaustive).toBe(false);
    expect(closed).not.toEqual([]);
  });

  test('is never said to be nothing where one more rule denies what was allowed', async () => {
    const place = fc.constantFrom('task.id', 'actor.user', 'run.planner', 'run.intent', 'task.cwd');
    const word = fc.stringMatching(/^[a-z]{1,8}$/);
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(place, word), { minLength: 1, maxLength: 4, selector: ([p]) => p }),
        async (asked) => {
          const when = asked.map(([path, text]) => `${path} == "${text}x"`).join(' && ');
          const more = `${base}  - { id: no, when: '${when}', effect: deny, reason: no }\n`;
          const { closed } = await compared(read(base), read(more));
          expect(closed.length).toBeGreaterThan(0);
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe('what two documents say differently', () => {
  test('is told place by place, with the way it goes', () => {
    const before = read(base);
    const after = read(
      base.replace('effect: deny', 'effect: ask').replace('"node"', '"sh"'),
      (text) =>
        text
          .replace('memory: 2GiB', 'memory: 4GiB')
          .replace('seccomp: required', 'seccomp: preferred')
          .replace('tools: [npm, npx,', 'tools: [npm,'),
    );
    expect(changesBetween(before, after).map(({ where, way }) => `${where} ${way}`)).toEqual([
      'tools narrower',
      'limits.memory wider',
      ...(changesBetween(before, after).some(({ where }) => where === 'isolation.seccomp')
        ? ['isolation.seccomp wider']
        : []),
      'rules.builds.when other',
      'rules.eve.effect wider',
    ]);
  });

  test('is nothing where nothing changed', () => {
    expect(changesBetween(read(base), read(base))).toEqual([]);
  });

  test('tells profiles and rules that are new or gone', () => {
    const profile = `profiles:\n  small: { when: 'task.tool == "node"' }\n`;
    expect(
      changesBetween(read(''), read(profile + base)).map(({ where, what }) => `${where} ${what}`),
    ).toEqual([
      'profiles.small is new',
      'rules what no rule speaks for is denied now',
      'rules.builds is new: allow when task.tool in ["npm", "node"]',
      'rules.eve is new: deny when actor.user == "eve"',
    ]);
    expect(changesBetween(read(profile), read('')).map(({ where }) => where)).toEqual([
      'profiles.small',
    ]);
  });
});
