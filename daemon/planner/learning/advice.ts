import type { Digest } from '#contract/ids.ts';
import type { LearnedAnswer, LearnedFamily, LearnedShape } from '#contract/learning.ts';
import type { PlanTask } from '#contract/plan.ts';
import { chance, wilson, type Experience } from '../models/score.ts';
import { familyOf } from './family.ts';
import type { Learning, RunSample, TaskSample, Whose } from './learning.ts';
import { quantileMs, runsOf } from './pitfalls.ts';
import { patternOf, remediesFor } from './remedies.ts';
import { shapeOf } from './shape.ts';

/** So many in one workspace say more than any number elsewhere. */
const ownEnough = 3;
/** A plan is not preferred for what may be chance. */
const preferredMin = 3;
const othersMax = 8;
const aboutAsSure = 0.9;
/** Old defects were mended: the last attempts count. */
const lately = 20;

export type Situation = { learning: Learning; whose: Whose; workspace: string };

/** What the score of plans stands on. */
export function pastOf({ learning, whose, workspace }: Situation) {
  return {
    outcomes: (task: PlanTask) => outcomesOf(samplesFor({ learning, whose, workspace }, task)),
    past: (plan) => goodOf(learning.runs(shapeOf(plan), whose)),
  } satisfies Partial<Experience>;
}

/** Of the workspace where there are enough, else of all of them. */
export function samplesFor(
  { learning, whose, workspace }: Situation,
  task: PlanTask,
): readonly TaskSample[] {
  const samples = learning.samples(familyOf(task), whose);
  const here = samples.filter((one) => one.workspace === workspace);
  return (here.length >= ownEnough ? here : samples).slice(-lately);
}

export function outcomesOf(samples: readonly TaskSample[]): { passed: number; failed: number } {
  const passed = samples.filter((one) => one.passed).length;
  return { passed, failed: samples.length - passed };
}

/** Runs that succeeded and people who were content, of all runs and all who said something. */
export function goodOf(runs: readonly RunSample[]): { good: number; all: number } {
  const { passed, up, down } = countsOf(runs);
  return { good: passed + up, all: runs.length + up + down };
}

/** Plans that were made for such a goal in such a kind of workspace, best first. */
export function plansFor(
  { learning, whose }: Pick<Situation, 'learning' | 'whose'>,
  { goal, kind }: { goal?: string | undefined; kind?: Digest | undefined },
): LearnedShape[] {
  if (goal === undefined || kind === undefined) return [];
  return learning
    .shapes(whose)
    .map(({ shape, runs }) => ({
      shape,
      runs: runs.filter((one) => one.goal === goal && one.kind === kind),
    }))
    .filter(({ runs }) => runs.length > 0)
    .map(({ shape, runs }) => learnedShape(shape, runs))
    .toSorted((a, b) => b.bound - a.bound || (a.shape < b.shape ? -1 : 1))
    .slice(0, othersMax);
}

/**
 * The plan of the past that is better than the one at hand: by its lower bound it did better than
 * that one did on the whole, or, where that one was hardly ever tried, than it should by what its
 * tasks did. So a new plan has its chance and loses it where it fails, and of two good ones
 * the one that was tried more does not win by that. Of those that are about as sure, the fastest.
 */
export function preferredTo(
  tasks: readonly PlanTask[],
  aims: { goal?: string | undefined; kind?: Digest | undefined },
  situation: Situation,
): LearnedShape | undefined {
  const sure = plansFor(situation, aims).filter((one) => one.passed + one.failed >= preferredMin);
  const [surest] = sure;
  if (surest === undefined) return undefined;
  const shape = shapeOf({ tasks });
  const own = goodOf(situation.learning.runs(shape, situation.whose));
  const expected =
    own.all >= preferredMin
      ? own.good / own.all
      : tasks.reduce((all, task) => all * chance(outcomesOf(samplesFor(situation, task))), 1);
  const [best] = sure
    .filter(({ bound }) => bound > expected && bound >= surest.bound * aboutAsSure)
    .toSorted((a, b) => (a.p50_ms ?? 0) - (b.p50_ms ?? 0));
  return best?.shape === shape ? undefined : best;
}

export function learnedShape(shape: Digest, runs: readonly RunSample[]): LearnedShape {
  const { passed, failed, up, down } = countsOf(runs);
  // The newest one is the likeliest to be whole still.
  const last = runs.at(-1);
  const p50 = quantileMs(runs, 0.5);
  return {
    shape,
    planner: last?.planner ?? '',
    plan: last?.plan ?? shape,
    ...(last?.goal === undefined ? {} : { goal: last.goal }),
    ...(last?.kind === undefined ? {} : { kind: last.kind }),
    passed,
    failed,
    up,
    down,
    bound: round(wilson(goodOf(runs))),
    ...(p50 === undefined ? {} : { p50_ms: p50 }),
    runs: runsOf(runs),
  };
}

/** All that was learned from somebody's runs, or everybody's: the same for the same log. */
export function learnedOf(learning: Learning, whose: Whose): LearnedAnswer {
  return {
    version: 1,
    ...(whose === undefined ? {} : { owner: whose }),
    families: learning.families(whose).map(({ family, samples }) => learnedFamily(family, samples)),
    shapes: learning.shapes(whose).map(({ shape, runs }) => learnedShape(shape, runs)),
  };
}

function learnedFamily(family: string, samples: readonly TaskSample[]): LearnedFamily {
  const failures = new Map<string, number>();
  for (const sample of samples) {
    if (sample.passed) continue;
    const pattern = patternOf(sample);
    failures.set(pattern, (failures.get(pattern) ?? 0) + 1);
  }
  const [p50, p90] = [quantileMs(samples, 0.5), quantileMs(samples, 0.9)];
  return {
    family,
    ...outcomesOf(samples),
    timedOut: samples.filter((one) => one.timedOut).length,
    ...(p50 === undefined ? {} : { p50_ms: p50 }),
    ...(p90 === undefined ? {} : { p90_ms: p90 }),
    failures: [...failures].map(([pattern, count]) => ({
      pattern,
      count,
      remedies: remediesFor(samples, pattern),
    })),
    runs: runsOf(samples),
  };
}

function countsOf(runs: readonly RunSample[]) {
  const passed = runs.filter((one) => one.passed).length;
  const ratings = runs.flatMap((one) => [...one.ratings.values()]);
  const up = ratings.filter((one) => one === 'up').length;
  return { passed, failed: runs.length - passed, up, down: ratings.length - up };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
