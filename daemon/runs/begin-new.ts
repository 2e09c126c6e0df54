import { OrchestraError } from '#contract/errors.ts';
import type { SubmitRun } from '#contract/run.ts';
import { NoPlan } from '../planner/models/no-plan.ts';
import { entryFor, planFor, plannerName, policyFor, recordPlan, type Accepted } from './accept.ts';
import { acceptedRun } from './accepted-run.ts';
import type { RunsDeps } from './deps.ts';
import type { AcceptedRun, OpenRun } from './open-run.ts';
import { ruleOf, rulesOf } from './judging/judge-plan.ts';
import { triedOf } from './plan-words.ts';
import { reasonsOf } from './reasons.ts';
import { withoutWords } from './words.ts';

/** A run that somebody submitted: planned, judged, accepted, on record. */
export async function beginNew(
  deps: RunsDeps,
  run: OpenRun,
  request: SubmitRun,
): Promise<AcceptedRun> {
  const accepted = await planned(deps, run, request);
  const narrowed = await recordPlan(
    deps,
    run.id,
    entryFor(deps, request),
    accepted.made,
    accepted.advice,
  );
  const { policy, image, made, secrets, about } = accepted;
  return acceptedRun(deps, run, {
    policy,
    about,
    image,
    secrets,
    narrowed,
    plan: made.plan,
    planDigest: made.digest,
    isRecorded: false,
  });
}

async function planned(deps: RunsDeps, run: OpenRun, request: SubmitRun): Promise<Accepted> {
  try {
    const facts = deps.states.find(run.id);
    if (!facts) throw new OrchestraError('internal.bug', `${run.id} is not in the log`);
    return await planFor(deps, facts, request, run.controller.signal);
  } catch (error) {
    if (!(error instanceof OrchestraError)) throw error;
    const isByWords = request.plan === undefined && request.exec === undefined;
    const refusal = isByWords ? withoutWords(error, request.intent) : error;
    await recordUnplanned(deps, run, request, refusal, error);
    throw refusal;
  }
}

/** Why there is no plan: none could be made, or the policy denies the one there is. */
async function recordUnplanned(
  deps: RunsDeps,
  run: OpenRun,
  request: SubmitRun,
  error: OrchestraError,
  found: OrchestraError,
): Promise<void> {
  const reasons = reasonsOf(error);
  if (error.code === 'policy.denied') {
    await deps.log.append({
      type: 'policy.decided',
      run: run.id,
      outcome: 'denied',
      sev: 'alert',
      pol: { hash: policyFor(deps, request).digest, ...ruleOf(found) },
      data: { decision: 'deny', reasons, ...rulesOf(found) },
    });
  }
  if (error.code.startsWith('plan.') || found instanceof NoPlan) {
    await deps.log.append({
      type: 'plan.failed',
      run: run.id,
      outcome: 'failed',
      data: { planner: plannerName(deps, request), code: error.code, reasons, ...triedOf(found) },
    });
  }
}
