/**
 * What learning is worth: two hundred made-up runs in each of five workspaces with defects of their
 * own, planned by a planner of mixed quality, once with what the runs before taught and once without.
 * Same seeds, same luck. The fold, the choice of plans and the warnings are the daemon's own; the
 * tasks, the planner and the person who follows half of the warnings about time are made up, so
 * this says whether learning helps in such a world, not how much in yours. No container runs.
 * `node bench/learning.ts [--rounds 20]`; samples go to `bench/results/learning.json`. Exit 1 where
 * the second hundred is not better than the first, or not better than without.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Plan, PlanTask } from '#contract/plan.ts';
import { preferredTo } from '#daemon/planner/learning/advice.ts';
import { familyOf } from '#daemon/planner/learning/family.ts';
import { pitfallsOf } from '#daemon/planner/learning/pitfalls.ts';
import { shapeOf } from '#daemon/planner/learning/shape.ts';
import { isElse } from '#daemon/runs/advice.ts';
import { Outlook } from '#daemon/scheduler/eta.ts';
import { digest, History, type PastTask } from '#test/support/histories.ts';

type Tasks = Pick<Plan, 'tasks'>;
/** How a task behaves in a workspace. */
type Nature = { ms: number; flaky: number; needs: string[] };
type World = { name: string; natures: Record<string, Nature> };
type Sample = { passed: boolean; ms: number };

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '20' } } });
const rounds = Number(values.rounds);
const minute = 60_000;
const runs = 200;
const followed = 0.5;
const usual = 5 * minute;

const nature = (ms: number, flaky = 0.01, needs: string[] = []): Nature => ({ ms, flaky, needs });
const worlds: World[] = [
  {
    name: 'in order',
    natures: { build: nature(minute), lint: nature(20_000), test: nature(2 * minute) },
  },
  {
    name: 'flaky tests',
    natures: { build: nature(minute), lint: nature(20_000), test: nature(2 * minute, 0.25) },
  },
  {
    name: 'time too short',
    natures: { build: nature(minute), lint: nature(20_000), test: nature(4.8 * minute) },
  },
  {
    name: 'tests need the build',
    natures: {
      build: nature(minute),
      lint: nature(20_000),
      test: nature(2 * minute, 0.01, ['build']),
    },
  },
  {
    name: 'all need the build',
    natures: {
      build: nature(2 * minute),
      lint: nature(20_000, 0.01, ['build']),
      test: nature(2 * minute, 0.05, ['build']),
    },
  },
];

function task(id: string, deps: string[]): PlanTask {
  const args = ['run', id];
  const limits = { timeoutMs: usual };
  const made = {
    id,
    tool: 'npm',
    args,
    env: {},
    cwd: '.',
    deps,
    command: ['npm', ...args],
    limits,
  };
  return { ...made, onFailure: 'stop', provisions: [], secrets: [] } as unknown as PlanTask;
}

/** What a planner of mixed quality says to the same words: how often, and what. */
const offers: [number, Tasks][] = [
  [0.3, { tasks: [task('build', []), task('lint', ['build']), task('test', ['build'])] }],
  [0.25, { tasks: [task('build', []), task('lint', []), task('test', [])] }],
  [0.25, { tasks: [task('build', []), task('lint', ['build']), task('test', ['lint'])] }],
  [0.2, { tasks: [task('lint', []), task('test', [])] }],
];
const goals = offers[0]?.[1];
const byShape = new Map(offers.map(([, plan]) => [shapeOf(plan), plan]));
const aims = { goal: 'build lint test', kind: digest('a') };

/** The same numbers for the same seed. */
function numbers(seed: number): () => number {
  let state = (seed * 2_654_435_761) % 2_147_483_647 || 1;
  for (let i = 0; i < 8; i += 1) state = (state * 48_271) % 2_147_483_647;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

function pick(share: number): Tasks {
  let rest = share;
  for (const [weight, plan] of offers) if ((rest -= weight) < 0) return plan;
  return offers[0]?.[1] ?? { tasks: [] };
}

function play(world: World, seed: number, learns: boolean): Sample[] {
  const history = new History();
  const situation = { learning: history.learning, whose: 'uid:1000', workspace: 'demo' };
  // What the person gave a task after a warning stays in his plan file.
  let testMs = usual;
  return Array.from({ length: runs }, (_, i) => {
    const luck = numbers(seed * runs + i + 1);
    const offered = pick(luck());
    const follows = luck() < followed;
    const dice = { build: luck(), lint: luck(), test: luck() };
    const stretch = Math.exp(0.5 * (luck() - 0.5));
    const best = learns ? preferredTo(offered.tasks, aims, situation) : undefined;
    const past = best && byShape.get(best.shape);
    const chosen = past === undefined || isElse(past, offered, goals) ? offered : past;
    const limited = chosen.tasks.map((one) => ({
      ...one,
      limits: { ...one.limits, timeoutMs: one.id === 'test' ? testMs : usual },
    }));
    if (learns && follows) {
      const [found] = pitfallsOf(limited, situation).filter(({ task: id }) => id === 'test');
      testMs = Math.max(testMs, found?.suggestedTimeoutMs ?? 0);
    }
    const tasks = limited.map((one) => ({
      ...one,
      limits: { ...one.limits, timeoutMs: one.id === 'test' ? testMs : usual },
    }));
    return run(world, { history, tasks, dice, stretch });
  });
}

function run(
  { natures }: World,
  {
    history,
    tasks,
    dice,
    stretch,
  }: { history: History; tasks: PlanTask[]; dice: Record<string, number>; stretch: number },
): Sample {
  const families = new Map(tasks.map((one) => [one.id, familyOf(one)]));
  const above = (id: string): string[] =>
    (tasks.find((one) => one.id === id)?.deps ?? []).flatMap((dep) => [dep, ...above(dep)]);
  const took = new Map<string, number>();
  const over: PastTask[] = [];
  const bad = new Set<string>();
  for (const one of tasks) {
    if (above(one.id).some((dep) => bad.has(dep))) continue;
    const { ms, flaky, needs } = natures[one.id] ?? nature(1000);
    const wanted = Math.round(ms * stretch);
    const { timeoutMs } = one.limits;
    const like = {
      family: families.get(one.id) ?? '',
      after: one.deps.map((dep) => families.get(dep) ?? ''),
      timeoutMs,
      ms: Math.min(wanted, timeoutMs),
    };
    took.set(one.id, like.ms);
    const lacks = needs.some((need) => !above(one.id).includes(need));
    if (lacks) over.push({ ...like, outcome: 'failed', class: 'code', rule: 'module-not-found' });
    else if ((dice[one.id] ?? 1) < flaky) over.push({ ...like, outcome: 'failed', class: 'code' });
    else if (wanted > timeoutMs) over.push({ ...like, outcome: 'timed_out', class: 'timeout' });
    else over.push(like);
    if (over.at(-1)?.outcome !== undefined) bad.add(one.id);
  }
  const passed = bad.size === 0;
  const outcome = passed ? 'succeeded' : 'failed';
  const outlook = new Outlook(tasks, ({ id }) => took.get(id) ?? 0);
  const ms = outlook.remainingMs(2, () => 'waiting');
  history.run({ ...aims, shape: shapeOf({ tasks }), outcome, ms, tasks: over });
  return { passed, ms };
}

function sum(samples: readonly Sample[]) {
  const passed = samples.filter((one) => one.passed);
  const ms = samples.reduce((all, one) => all + one.ms, 0);
  const seconds = (all: number, of: number) => Math.round(all / 1000 / Math.max(1, of));
  return {
    success: Math.round((1000 * passed.length) / samples.length) / 1000,
    /** Of all runs, those that failed too, for each that succeeded: what a green run costs. */
    seconds_a_success: seconds(ms, passed.length),
    seconds_of_successes: seconds(
      passed.reduce((all, one) => all + one.ms, 0),
      passed.length,
    ),
  };
}

const results = worlds.map((world) => {
  const half = (learns: boolean, from: number) =>
    sum(
      Array.from({ length: rounds }, (_, seed) =>
        play(world, seed + 1, learns).slice(from, from + runs / 2),
      ).flat(),
    );
  const [first, second] = [half(true, 0), half(true, runs / 2)];
  return { world: world.name, first, second, without: half(false, runs / 2) };
});
mkdirSync('bench/results', { recursive: true });
writeFileSync(
  'bench/results/learning.json',
  `${JSON.stringify({ rounds, results }, undefined, 2)}\n`,
);
for (const { world, first, second, without } of results) {
  const words = ({ success, seconds_a_success, seconds_of_successes }: typeof first) =>
    `${(100 * success).toFixed(1).padStart(5)} % ${String(seconds_a_success).padStart(4)} s a success, ${seconds_of_successes} s each`;
  console.log(`${world}\n  first hundred   ${words(first)}\n  second hundred  ${words(second)}`);
  console.log(`  without         ${words(without)}`);
}
const mean = (of: (one: (typeof results)[number]) => number) =>
  results.reduce((all, one) => all + of(one), 0) / results.length;
const isWorse =
  mean((one) => one.second.success) <= mean((one) => one.first.success) ||
  mean((one) => one.second.success) <= mean((one) => one.without.success) ||
  mean((one) => one.second.seconds_a_success) >= mean((one) => one.without.seconds_a_success);
if (isWorse) process.exitCode = 1;
