import type { Digest } from '#contract/ids.ts';
import type { Plan } from '#contract/plan.ts';
import type { Actor } from '#contract/records.ts';
import { cutText } from '../../base/text.ts';
import { textMax, type PolicyInput } from '../../policy/input.ts';
import type { RunsDeps } from '../deps.ts';
import type { RunFacts } from '../state.ts';

/** Of the input of policies, what all tasks of a run have in common. */
export type About = Pick<PolicyInput, 'actor' | 'run'> & { runsToday: number };

type AboutDeps = Pick<RunsDeps, 'accounts' | 'workspace' | 'states' | 'clock'>;

/** A run that is on record, with its plan. */
export async function aboutRun(
  deps: AboutDeps & Pick<RunsDeps, 'vault'>,
  facts: RunFacts,
  { plan, planDigest }: { plan: Plan; planDigest: Digest },
): Promise<About> {
  return aboutOf(deps, {
    id: facts.id,
    actor: facts.actor,
    intent: await deps.vault.words(facts.intent),
    snapshot: facts.snapshot,
    workspace: facts.workspace,
    concurrency: facts.concurrency,
    policy: facts.policyName,
    continues: facts.continues?.run ?? '',
    plan,
    planDigest,
  });
}

export type AboutRequest = {
  /** Empty for one that is only planned. */
  id: string;
  actor: Actor;
  intent: string;
  snapshot: Digest;
  workspace: string;
  concurrency: number;
  policy: string;
  continues: string;
  plan: Plan;
  planDigest: Digest;
};

export async function aboutOf(deps: AboutDeps, request: AboutRequest): Promise<About> {
  const { id, actor, plan, planDigest, workspace, snapshot } = request;
  const { uid } = actor;
  const [user, gids, info] = await Promise.all([
    uid === undefined ? undefined : deps.accounts.userName(uid),
    uid === undefined ? [] : deps.accounts.gidsOf(uid),
    deps.workspace.snapshots.find(snapshot),
  ]);
  // What the kernel said of the caller counts, and so does what the account is in by now.
  const all = [
    ...new Set([...gids, ...(actor.groups ?? []), ...(actor.gid === undefined ? [] : [actor.gid])]),
  ];
  return {
    actor: {
      uid: uid ?? -1,
      user: user ?? '',
      groups: await Promise.all(all.map(async (gid) => deps.accounts.groupName(gid))),
      roles: [...(actor.roles ?? [])],
      auth: actor.auth,
    },
    run: {
      id,
      intent: cutText(request.intent, textMax),
      planner: plan.planner,
      plan: planDigest,
      policy: request.policy,
      workspace: {
        name: lastOf(workspace),
        files: info?.files ?? 0,
        bytes: info?.bytes ?? 0,
      },
      tasks: plan.tasks.length,
      concurrency: request.concurrency,
      continues: request.continues,
    },
    runsToday: runsOfToday(deps, actor, id),
  };
}

const dayMs = 24 * 3600 * 1000;

function runsOfToday({ states, clock }: AboutDeps, { uid }: Actor, id: string): number {
  if (uid === undefined) return 0;
  const from = clock.now() - dayMs;
  let found = 0;
  for (const run of states.all().toReversed()) {
    // Newest first; a clock that was set back a little makes no difference worth looking for.
    if (Date.parse(run.submittedAt) < from) break;
    if (run.actor.uid === uid && run.id !== id) found += 1;
  }
  return found;
}

function lastOf(workspace: string): string {
  return workspace.split('/').findLast((part) => part !== '') ?? '';
}
