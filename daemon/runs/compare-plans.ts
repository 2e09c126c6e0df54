import { OrchestraError } from '#contract/errors.ts';
import type { ComparedPlan, ComparedPlans } from '#contract/planning.ts';
import type { Actor } from '#contract/records.ts';
import type { ComparePlans } from '#contract/run.ts';
import { digestOf } from '../base/canonical.ts';
import type { Offer } from '../planner/models/planners.ts';
import { ranked, scorePlans } from '../planner/models/score.ts';
import { concurrencyFor, preparePlan } from './accept.ts';
import { situationOf } from './advice.ts';
import type { RunsDeps } from './deps.ts';
import { experienceOf } from './explain-plan.ts';

/** Every planner's plan for the same words, best first. Nothing is run. */
export async function comparePlans(
  deps: RunsDeps,
  caller: Actor,
  { tokens, ...request }: ComparePlans,
  signal: AbortSignal,
): Promise<ComparedPlans> {
  if (request.plan !== undefined || request.exec !== undefined) {
    throw new OrchestraError('request.invalid', 'Only plans of words can be compared', {
      hint: 'two plans that are there: orchestra plan diff A B',
    });
  }
  const { asked, judged, policy } = await preparePlan(deps, caller, request, signal);
  const actor = await deps.vault.actor(caller);
  const offers = await deps.planners.compare(asked, { actor, signal }, tokens);
  const within = await Promise.all(
    offers.map(async ({ tried, made }): Promise<Offer> =>
      made === undefined ? { tried } : { tried, made: (await judged(made)).made },
    ),
  );
  const withPlan = within.flatMap(({ tried, made }) =>
    made === undefined ? [] : [{ tried, made }],
  );
  const goals = withPlan.find(({ tried }) => tried.planner === 'rules')?.made.plan;
  const situation = situationOf(deps, caller, request.workspace);
  const scores = scorePlans(
    withPlan.map(({ made }) => made.plan),
    {
      experience: experienceOf(deps, situation),
      goals,
      concurrency: concurrencyFor(request, policy),
    },
  );
  const rows = withPlan.flatMap(({ tried, made }, i) => {
    const score = scores[i];
    return score === undefined ? [] : [{ tried, plan: made.plan, made, score }];
  });
  const first = new Map<string, string>();
  const items = ranked(rows).map(({ tried, made, score }): ComparedPlan => {
    const shape = digestOf(
      made.plan.tasks.map(({ id, command, deps: after, cwd }) => [id, command, after, cwd]),
    );
    const sameAs = first.get(shape);
    if (sameAs === undefined) first.set(shape, tried.planner);
    return {
      tried,
      plan: { ...made.plan },
      digest: made.digest,
      tasks: made.plan.tasks.length,
      score,
      clamped: [...made.clamped],
      ...(sameAs === undefined ? {} : { sameAs }),
    };
  });
  const without = within.filter(({ made }) => made === undefined).map(({ tried }) => ({ tried }));
  return { items: [...items, ...without] };
}
