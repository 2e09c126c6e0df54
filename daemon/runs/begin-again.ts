import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Plan } from '#contract/plan.ts';
import { digestOf } from '../base/canonical.ts';
import { cutText } from '../base/text.ts';
import type { PolicyEntry } from '../policy/book.ts';
import type { EffectivePolicy } from '../policy/effective.ts';
import { topological } from '../scheduler/graph.ts';
import { openRunSecrets } from '../secrets/run-secrets.ts';
import { loadPlan, policyAgain, recordPlan } from './accept.ts';
import { acceptedRun } from './accepted-run.ts';
import { chooseTasks, type Choice } from './choose.ts';
import { brokenPart } from './cache/verify.ts';
import type { RunsDeps } from './deps.ts';
import type { ResolvedImage } from './images.ts';
import { aboutRun, type About } from './judging/about.ts';
import { assertAllowed, lower, ruleOf, rulesOf, withinProfiles } from './judging/judge-plan.ts';
import { leftBy, reusedEntries, type Reused } from './kept.ts';
import { assertLayersSound } from './left-sound.ts';
import { taskEntry, type AcceptedRun, type OpenRun } from './open-run.ts';
import { reasonsOf } from './reasons.ts';
import { finishLost } from './recover.ts';
import type { RunFacts } from './state.ts';
import { dropUntaken, type TakenOver } from './take-over.ts';
import { failpoint } from '../base/failpoints.ts';

/** What a run goes on from: its plan, its policy, and what it left, task by task. */
export type Earlier = {
  plan: Plan;
  policy: Digest;
  /** Another one that was asked for, for a checkpoint from elsewhere. */
  entry?: PolicyEntry;
  leftBy(task: string): Reused | undefined;
  /** Somebody wants another plan for what is left. */
  byHand?: NonNullable<AcceptedRun['byHand']>;
};

export async function earlierOf(deps: RunsDeps, run: RunFacts): Promise<Earlier> {
  if (run.plan === undefined || run.policy === undefined) {
    throw new OrchestraError(
      'run.conflict',
      `${run.id} ended before there was a plan to go on with`,
      {
        hint: 'submit it again: orchestra run',
      },
    );
  }
  return {
    plan: await loadPlan(deps, run.plan),
    policy: run.policy,
    leftBy: (task) => leftBy(run, task),
  };
}

/**
 * A new run that goes on from an earlier one: the same plan, judged again under the policy as it
 * applies today; what is kept counts without running.
 */
export async function beginAgain(
  deps: RunsDeps,
  run: OpenRun,
  earlier: Earlier,
  choice: Choice,
): Promise<AcceptedRun> {
  const entry = earlier.entry ?? (await policyAgain(deps, earlier.policy));
  const image = await deps.images.resolve(deps.log, entry.policy, run.id);
  const { plan, clamped, about } = await underPolicy(deps, run, earlier.plan, {
    policy: entry.policy,
    image,
  });
  const digest = digestOf(plan);
  await deps.log.append({
    type: 'plan.requested',
    run: run.id,
    data: { planner: 'earlier', profile: digestOf(earlier.plan) },
  });
  try {
    await assertAllowed(deps, { policy: entry.policy, image, about }, plan);
  } catch (error) {
    if (error instanceof OrchestraError) {
      await deps.log.append({
        type: 'policy.decided',
        run: run.id,
        outcome: 'denied',
        sev: 'alert',
        pol: { hash: entry.policy.digest, ...ruleOf(error) },
        data: { decision: 'deny', reasons: reasonsOf(error), ...rulesOf(error) },
      });
    }
    throw error;
  }
  const secrets = await openRunSecrets(
    deps.secrets,
    plan.tasks.flatMap((task) => task.secrets),
  );
  const narrowed = await recordPlan(deps, run.id, entry, { plan, digest, clamped });
  const accepted = await acceptedRun(deps, run, {
    policy: entry.policy,
    about,
    image,
    secrets,
    plan,
    planDigest: digest,
    narrowed,
    isRecorded: false,
    fresh: choice.fresh,
  });
  await countKept(deps, accepted, earlier, choice);
  const { byHand } = earlier;
  return byHand === undefined ? accepted : { ...accepted, byHand };
}

/** The same run after its daemon died, as it stands in the log. */
export async function beginLeft(
  deps: RunsDeps,
  run: OpenRun,
  facts: RunFacts,
  taken: ReadonlyMap<string, TakenOver>,
): Promise<AcceptedRun> {
  try {
    return await goOnFrom(deps, run, facts, taken);
  } catch (error) {
    // What was taken over for a run that cannot go on is nobody's any more.
    for (const [task, { adopted }] of taken) {
      adopted.attached.close();
      await deps.engine.remove(adopted.id, { task, why: 'the run cannot go on' }).catch(() => {});
    }
    await dropUntaken(deps, facts, new Set());
    throw error;
  }
}

async function goOnFrom(
  deps: RunsDeps,
  run: OpenRun,
  facts: RunFacts,
  taken: ReadonlyMap<string, TakenOver>,
): Promise<AcceptedRun> {
  const earlier = await earlierOf(deps, facts);
  const entry = await policyAgain(deps, earlier.policy);
  const image = await deps.images.resolve(deps.log, entry.policy, run.id);
  if (image.id !== earlier.plan.image.id) {
    throw new OrchestraError(
      'image.changed',
      `${image.reference} is another image than when the run began`,
      {
        hint: `orchestra resume ${run.id}   goes on with the image of today`,
      },
    );
  }
  const { plan, about: asPlanned } = await underPolicy(deps, run, earlier.plan, {
    policy: entry.policy,
    image,
  });
  const planDigest = facts.plan ?? digestOf(plan);
  const about = { ...asPlanned, run: { ...asPlanned.run, plan: planDigest } };
  await assertAllowed(deps, { policy: entry.policy, image, about }, plan);
  const secrets = await openRunSecrets(
    deps.secrets,
    plan.tasks.flatMap((task) => task.secrets),
  );
  await assertLayersSound(deps, facts, plan, run.controller.signal);
  const lost = await finishLost(deps, run.id, plan, taken);
  const done = [...facts.tasks.values()].filter(
    ({ finishedAt }) => finishedAt !== undefined,
  ).length;
  failpoint('before-run-recovered');
  await deps.log.append({
    type: 'run.recovered',
    run: run.id,
    data: { done, adopted: taken.size, lost },
  });
  failpoint('after-run-recovered');
  return acceptedRun(deps, run, {
    policy: entry.policy,
    about,
    image,
    secrets,
    plan,
    planDigest,
    narrowed: [],
    isRecorded: true,
    taken,
    fresh: freshOf(deps, facts, plan),
  });
}

/** The tasks that a retry or a fork has run anew: as they were chosen when it began. */
function freshOf(deps: RunsDeps, { continues }: RunFacts, plan: Plan): string[] {
  if (continues === undefined || continues.mode === 'import' || continues.mode === 'replan') {
    return [];
  }
  const earlier = deps.states.find(continues.run);
  const { mode, task } = continues;
  // Of what nobody knows any more nothing is taken from elsewhere.
  if (earlier === undefined) return plan.tasks.map(({ id }) => id);
  return chooseTasks(earlier, plan, { mode, task }).fresh;
}

async function countKept(
  deps: RunsDeps,
  run: AcceptedRun,
  earlier: Earlier,
  { kept, left }: Choice,
): Promise<void> {
  const wanted = new Set(kept);
  const counted = new Set<string>();
  for (const task of topological(run.plan.tasks)) {
    if (!wanted.has(task.id) || !task.deps.every((dep) => counted.has(dep))) continue;
    const reused = earlier.leftBy(task.id);
    // What is gone or damaged is as if it had never been: the task runs, and leaves it anew.
    if (reused === undefined || (await brokenPart(deps, reused)) !== undefined) continue;
    await deps.log.appendAll(reusedEntries(run, task.id, reused, 'resumed'));
    counted.add(task.id);
  }
  for (const id of left) {
    await deps.log.append(
      taskEntry(run, id, { type: 'task.skipped', data: { reason: 'not asked for' } }),
    );
  }
}

/** The same tasks with what applies today; limits only ever go down. */
async function underPolicy(
  deps: RunsDeps,
  run: Pick<OpenRun, 'id'>,
  plan: Plan,
  { policy, image }: { policy: EffectivePolicy; image: ResolvedImage },
): Promise<{ plan: Plan; about: About; clamped: string[] }> {
  const clamped: string[] = [];
  const tasks = plan.tasks.map((task) => {
    const limits = lower(task.limits, policy.limits);
    if (limits === task.limits) return task;
    clamped.push(cutText(`${task.id}: limits lowered by policy ${policy.name}`, 256));
    return { ...task, limits };
  });
  const { name, digest } = policy;
  const { reference, id } = image;
  const whole = { ...plan, policy: { name, digest }, image: { reference, id }, tasks };
  const facts = deps.states.find(run.id);
  if (!facts) throw new OrchestraError('internal.bug', `${run.id} is not in the log`);
  const about = await aboutRun(deps, facts, { plan: whole, planDigest: digestOf(whole) });
  const within = withinProfiles(deps, { policy, about }, whole);
  return { ...within, clamped: [...clamped, ...within.clamped].slice(0, 512) };
}
