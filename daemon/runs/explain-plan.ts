import { OrchestraError } from '#contract/errors.ts';
import type { PlanExplanation } from '#contract/learning.ts';
import type { Plan } from '#contract/plan.ts';
import { scorePlans, chance } from '../planner/models/score.ts';
import { familyOf } from '../planner/learning/family.ts';
import {
  learnedShape,
  outcomesOf,
  pastOf,
  plansFor,
  samplesFor,
  type Situation,
} from '../planner/learning/advice.ts';
import { pitfallsOf, runsOf } from '../planner/learning/pitfalls.ts';
import { shapeOf } from '../planner/learning/shape.ts';
import { concurrencyFor, goalsOf, loadPlan, preparePlan } from './accept.ts';
import { aimsOf, situationOf } from './advice.ts';
import type { RunsDeps } from './deps.ts';
import type { RunFacts } from './state.ts';

/** Why a run has the plan that it has, and what the log knows of plans and tasks like its own. */
export async function explainPlan(deps: RunsDeps, run: RunFacts): Promise<PlanExplanation> {
  if (run.plan === undefined) throw new OrchestraError('run.unknown', `${run.id} has no plan`);
  const plan = await loadPlan(deps, run.plan);
  const situation = situationOf(deps, run, run.workspace);
  const { aims, goals, concurrency } = await asPlanned(deps, run, plan);
  const [score] = scorePlans([plan], {
    experience: experienceOf(deps, situation),
    goals,
    concurrency,
  });
  if (score === undefined) throw new OrchestraError('internal.bug', 'a plan has no score');
  const shape = shapeOf(plan);
  const past = situation.learning.runs(shape, situation.whose);
  return {
    run: run.id,
    planner: plan.planner,
    digest: run.plan,
    shape,
    ...aims,
    score,
    coverageKnown: goals !== undefined,
    tasks: plan.tasks.map((task) => {
      const samples = samplesFor(situation, task);
      const seen = outcomesOf(samples);
      const likely = Math.round(chance(seen) * 1000) / 1000;
      return {
        id: task.id,
        family: familyOf(task),
        ...seen,
        chance: likely,
        runs: runsOf(samples),
      };
    }),
    ...(past.length === 0 ? {} : { past: learnedShape(shape, past) }),
    others: plansFor(situation, aims).filter((one) => one.shape !== shape),
    pitfalls: pitfallsOf(plan.tasks, situation),
  };
}

/** What the score of plans stands on, for somebody's plans in a workspace. */
export function experienceOf({ durations }: Pick<RunsDeps, 'durations'>, situation: Situation) {
  return {
    durationMs: (task: Plan['tasks'][number]) => durations.p50(task),
    isKnown: (task: Plan['tasks'][number]) => durations.knows(task),
    ...pastOf(situation),
  };
}

/** What the rules would do there; the snapshot or the words may be gone by now. */
async function asPlanned(deps: RunsDeps, run: RunFacts, { planner }: Plan) {
  const { concurrency } = run;
  if (planner === 'file' || planner === 'exec') {
    return { aims: {}, goals: undefined, concurrency };
  }
  try {
    const intent = await deps.vault.words(run.intent);
    const request = {
      intent,
      snapshot: run.snapshot,
      workspace: run.workspace,
      concurrency,
      policy: { name: run.policyName },
    };
    const { asked, policy } = await preparePlan(deps, run.actor, request);
    return {
      aims: aimsOf(intent, asked.profile),
      goals: goalsOf(asked),
      concurrency: concurrencyFor(request, policy),
    };
  } catch (error) {
    if (!(error instanceof OrchestraError)) throw error;
    return { aims: {}, goals: undefined, concurrency };
  }
}
