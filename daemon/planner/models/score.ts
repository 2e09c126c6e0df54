import type { Plan, PlanTask } from '#contract/plan.ts';
import type { PlanScore } from '#contract/planning.ts';
import { Outlook } from '../../scheduler/eta.ts';

/** What is known from earlier runs; where nobody knows anything, every plan is treated alike. */
export type Experience = {
  /** Half of the tasks like it took no longer. */
  durationMs: (task: PlanTask) => number;
  /** Whether one like it ever succeeded here. */
  isKnown: (task: PlanTask) => boolean;
  /** How often tasks like it succeeded and failed. */
  outcomes?: (task: PlanTask) => { passed: number; failed: number };
  /** How often plans of this shape were of use, of how often. */
  past?: (plan: Plan) => { good: number; all: number };
};

export type ScoreContext = {
  experience: Experience;
  /** What the rules would do, for what has to be covered; undefined where they know nothing. */
  goals: Plan | undefined;
  concurrency: number;
};

const most = { coverage: 40, success: 20, makespan: 20, risk: 10, past: 10 };
/** As if each kind of task had been seen ten times before, nine of them well. */
const prior = { passed: 9, failed: 1 };

/**
 * Sound plans of one intent, in points out of a hundred: what is covered of what the rules would
 * do, how likely it succeeds, how long it takes against the fastest of them, what it risks, and what
 * came of plans like it. The same for the same plans and experience; no model has a say in it.
 */
export function scorePlans(plans: readonly Plan[], context: ScoreContext): PlanScore[] {
  const spans = plans.map((plan) => makespanMs(plan, context));
  const fastest = Math.max(1, Math.min(...spans));
  return plans.map((plan, i) => {
    const span = Math.max(1, spans[i] ?? 1);
    const parts = {
      coverage: most.coverage * coverage(plan, context.goals),
      success: most.success * success(plan, context.experience),
      makespan: most.makespan * (fastest / span),
      risk: risk(plan, context.experience),
      past: most.past * wilson(context.experience.past?.(plan) ?? { good: 0, all: 0 }),
    };
    const total = Object.values(parts).reduce((sum, part) => sum + part, 0);
    return {
      total: points(total),
      coverage: points(parts.coverage),
      success: points(parts.success),
      makespan: points(parts.makespan),
      risk: points(parts.risk),
      past: points(parts.past),
      makespanMs: Math.round(span),
    };
  });
}

/** Best first: by points, then fewer tasks, then the order in which they were asked. */
export function ranked<T extends { score: PlanScore; plan: Plan }>(rows: readonly T[]): T[] {
  return rows.toSorted(
    (a, b) => b.score.total - a.score.total || a.plan.tasks.length - b.plan.tasks.length,
  );
}

function makespanMs(plan: Plan, { experience, concurrency }: ScoreContext): number {
  const outlook = new Outlook(plan.tasks, (task) => experience.durationMs(task));
  return outlook.remainingMs(concurrency, () => 'waiting');
}

// Of what the rules would run, installing aside: that is a means, and not every plan needs it.
export function coverage(
  plan: Pick<Plan, 'tasks'>,
  goals: Pick<Plan, 'tasks'> | undefined,
): number {
  const wanted = (goals?.tasks ?? []).filter(({ provisions }) => provisions.length === 0);
  if (wanted.length === 0) return 0;
  const made = new Set(plan.tasks.map(wordsOf));
  return wanted.filter((task) => made.has(wordsOf(task))).length / wanted.length;
}

// `npm test` and `npm run test` are the same.
export function wordsOf({ command, cwd }: PlanTask): string {
  const words = command[1] === 'run' && command[0] === 'npm' ? command.toSpliced(1, 1) : command;
  return JSON.stringify([cwd, ...words.filter((word) => word !== '--silent')]);
}

function success(plan: Plan, { outcomes }: Experience): number {
  return plan.tasks.reduce((all, task) => all * chance(outcomes?.(task)), 1);
}

/** The mean of the Beta distribution that the prior became by what was seen. */
export function chance({ passed, failed } = { passed: 0, failed: 0 }): number {
  const good = passed + prior.passed;
  return good / (good + failed + prior.failed);
}

function risk(plan: Plan, { isKnown }: Experience): number {
  const effects = plan.tasks.filter(({ sideEffects }) => sideEffects).length;
  const unknown = plan.tasks.filter((task) => !isKnown(task)).length;
  const share = plan.tasks.length === 0 ? 0 : unknown / plan.tasks.length;
  return Math.max(0, most.risk - 3 * effects - 4 * share);
}

/** The lower end of what the share may be: one good time is not yet a law. */
export function wilson({ good, all }: { good: number; all: number }): number {
  if (all <= 0) return 0;
  const z = 1.96;
  const share = Math.min(1, good / all);
  const middle = share + (z * z) / (2 * all);
  const width = z * Math.sqrt((share * (1 - share) + (z * z) / (4 * all)) / all);
  return Math.max(0, (middle - width) / (1 + (z * z) / all));
}

function points(value: number): number {
  return Math.round(value * 10) / 10;
}
