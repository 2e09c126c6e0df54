import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Plan } from '#contract/plan.ts';
import { ranked, scorePlans, type ScoreContext } from '#daemon/planner/models/score.ts';
import { validateDraft } from '#daemon/planner/validate.ts';
import { shippedPolicy, testImage, testImageTools } from '#test/support/policies.ts';

type Task = { id: string; args: string[]; deps?: string[]; sideEffects?: boolean; tool?: string };

function planOf(...tasks: Task[]): Plan {
  const made = validateDraft(
    {
      version: 1,
      assumptions: [],
      tasks: tasks.map((task) => ({
        title: '',
        why: '',
        tool: 'npm',
        env: [],
        cwd: '.',
        deps: [],
        outputs: [],
        limits: {},
        onFailure: 'stop',
        ...task,
      })),
    },
    {
      planner: 'x',
      policy: shippedPolicy('default'),
      image: testImage,
      imageTools: testImageTools,
    },
  );
  if (!made.ok) throw new Error(JSON.stringify(made.findings));
  return made.plan;
}

const context: ScoreContext = {
  experience: { durationMs: () => 1_000, isKnown: () => true },
  goals: undefined,
  concurrency: 4,
};
const build = { id: 'build', args: ['run', 'build'] };
const tests = { id: 'test', args: ['test'] };

test('what is missing of what the rules would do costs points, and other names for it do not', () => {
  const goals = planOf({ id: 'install', args: ['ci'] }, build, tests);
  const [whole, half, none] = scorePlans(
    [
      planOf({ id: 'b', args: ['run', 'build'] }, { id: 't', args: ['run', 'test'] }),
      planOf(build),
      planOf({ id: 'lint', args: ['run', 'lint'] }),
    ],
    { ...context, goals },
  );
  expect([whole?.coverage, half?.coverage, none?.coverage]).toEqual([40, 20, 0]);
});

test('without goals nobody has points for them', () => {
  expect(scorePlans([planOf(build)], context)[0]?.coverage).toBe(0);
});

test('a plan whose tasks wait for each other takes longer than one whose tasks do not', () => {
  const beside = planOf(build, tests);
  const chain = planOf(build, { ...tests, deps: ['build'] });
  const [a, b] = scorePlans([beside, chain], context);
  expect([a?.makespanMs, b?.makespanMs]).toEqual([1_000, 2_000]);
  expect([a?.makespan, b?.makespan]).toEqual([20, 10]);
});

test('tasks that failed before make success less likely, more of them less still', () => {
  const outcomes = () => ({ passed: 0, failed: 10 });
  const bad = { ...context, experience: { ...context.experience, outcomes } };
  const [fresh] = scorePlans([planOf(build)], context);
  const [one, two] = scorePlans([planOf(build), planOf(build, tests)], bad);
  expect(fresh?.success).toBe(18);
  expect(one?.success).toBeLessThan(fresh?.success ?? 0);
  expect(two?.success).toBeLessThan(one?.success ?? 0);
});

test('side effects and what never ran here are a risk', () => {
  const unknown = { ...context, experience: { ...context.experience, isKnown: () => false } };
  expect(scorePlans([planOf(build)], context)[0]?.risk).toBe(10);
  expect(scorePlans([planOf(build)], unknown)[0]?.risk).toBe(6);
  expect(scorePlans([planOf({ ...build, sideEffects: true })], context)[0]?.risk).toBe(7);
});

test('one good rating counts less than many good ones among a few bad', () => {
  const pastOf = (good: number, all: number) =>
    scorePlans([planOf(build)], {
      ...context,
      experience: { ...context.experience, past: () => ({ good, all }) },
    })[0]?.past ?? 0;
  expect(pastOf(0, 0)).toBe(0);
  expect(pastOf(1, 1)).toBeLessThan(pastOf(18, 20));
  expect(pastOf(100, 100)).toBeLessThanOrEqual(10);
});

test('of as many points fewer tasks come first, then who was asked first', () => {
  const score = { total: 50 } as never;
  const rows = [
    { name: 'a', score, plan: planOf(build, tests) },
    { name: 'b', score, plan: planOf(build) },
    { name: 'c', score, plan: planOf(build) },
  ];
  expect(ranked(rows).map(({ name }) => name)).toEqual(['b', 'c', 'a']);
});

test('points are never above a hundred nor below nothing, and their parts add up', () => {
  const counts = fc.record({ passed: fc.nat(1000), failed: fc.nat(1000) });
  fc.assert(
    fc.property(
      fc.array(fc.nat({ max: 1e7 }), { minLength: 1, maxLength: 8 }),
      counts,
      fc.boolean(),
      (costs, outcome, isKnown) => {
        const plan = planOf(
          ...costs.map((_, i) => ({
            id: `t${i}`,
            args: ['run', `s${i}`],
            deps: i % 2 === 1 ? [`t${i - 1}`] : [],
          })),
        );
        const [score] = scorePlans([plan], {
          experience: {
            durationMs: ({ id }) => costs[Number(id.slice(1))] ?? 0,
            isKnown: () => isKnown,
            outcomes: () => outcome,
            past: () => ({ good: outcome.passed, all: outcome.passed + outcome.failed }),
          },
          goals: plan,
          concurrency: 2,
        });
        const { total = -1, makespanMs: _, ...parts } = score ?? {};
        const sum = Object.values(parts).reduce((all, part) => all + part, 0);
        expect(total).toBeGreaterThanOrEqual(0);
        expect(total).toBeLessThanOrEqual(100);
        expect(Math.abs(total - sum)).toBeLessThan(0.5);
      },
    ),
    { numRuns: 200 },
  );
});
