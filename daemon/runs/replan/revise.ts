import type { Digest } from '#contract/ids.ts';
import type { Finding, Plan, PlanTask } from '#contract/plan.ts';
import type { ReplanStep } from '#contract/replan.ts';
import { digestOf } from '../../base/canonical.ts';
import { envelopeOf, widenings } from '../../planner/replan/envelope.ts';
import { draftOf } from '../../planner/replan/draft-of.ts';
import { merge, type Standing } from '../../planner/replan/merge.ts';
import type { Operation } from '../../planner/replan/operations.ts';
import { validateDraft } from '../../planner/validate.ts';
import type { RunsDeps } from '../deps.ts';
import { aboutRun, type About } from '../judging/about.ts';
import { assertAllowed, withinProfiles } from '../judging/judge-plan.ts';
import type { AcceptedRun } from '../open-run.ts';
import { denials } from '../plan-words.ts';
import type { RunFacts } from '../state.ts';

export type Revision = {
  plan: Plan;
  digest: Digest;
  about: About;
  superseded: string[];
  steps: ReplanStep[];
};

export type Revised = { ok: true; value: Revision } | { ok: false; findings: Finding[] };

/**
 * What operations make of the plan of a run: merged, validated as a whole like any plan, within what
 * the first plan could do, and judged by the policy. What is frozen is the same object before and
 * after. Changes nothing.
 */
export async function revise(
  deps: RunsDeps,
  run: AcceptedRun,
  { facts, first, standing }: { facts: RunFacts; first: Plan; standing: Standing },
  operations: readonly Operation[],
): Promise<Revised> {
  const merged = merge(standing, operations);
  if (!merged.ok) return merged;
  const { planner, assumptions, image } = run.plan;
  const drafts = merged.tasks.map((one) => ('draft' in one ? one.draft : draftOf(one.kept)));
  const valid = validateDraft(
    { version: 1, assumptions: [...assumptions], tasks: drafts },
    { planner, policy: run.policy, image, imageTools: run.image.tools },
  );
  if (!valid.ok) return valid;
  const tasks = merged.tasks.map((one, i): PlanTask => {
    if ('kept' in one) return one.kept;
    const task = valid.plan.tasks[i];
    if (task === undefined) throw new TypeError('a task was lost on the way');
    return task;
  });
  const comes = tasks.filter((_, i) => 'draft' in (merged.tasks[i] ?? {}));
  const whole: Plan = { ...run.plan, tasks };
  const wider = widenings(envelopeOf(first), whole, comes);
  if (wider.length > 0) {
    return {
      ok: false,
      findings: wider.map(({ task, message }) => ({ code: 'envelope_widened', task, message })),
    };
  }
  const asked = await aboutRun(deps, facts, { plan: whole, planDigest: digestOf(whole) });
  const within = withinProfiles(deps, { policy: run.policy, about: asked }, whole);
  const plan = thawed(within.plan, whole, standing);
  const digest = digestOf(plan);
  const about = { ...within.about, run: { ...within.about.run, plan: digest } };
  const denied = await denials(() =>
    assertAllowed(deps, { policy: run.policy, image: run.image, about }, plan),
  );
  if (denied.length > 0) return { ok: false, findings: denied };
  const { superseded, steps } = merged;
  return { ok: true, value: { plan, digest, about, superseded, steps } };
}

/** What runs or is over is not changed by a limit of later. */
function thawed(within: Plan, whole: Plan, standing: Standing): Plan {
  if (within === whole) return whole;
  const tasks = within.tasks.map((task, i) =>
    standing.isFrozen(task.id) ? (whole.tasks[i] ?? task) : task,
  );
  return { ...within, tasks };
}
