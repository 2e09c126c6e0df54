import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { Plan } from '#contract/plan.ts';
import type { EffectivePolicy } from '../policy/effective.ts';
import { Ancestry } from '../scheduler/ancestry.ts';
import { topological } from '../scheduler/graph.ts';
import type { RunSecrets } from '../secrets/run-secrets.ts';
import { concurrencyFor } from './accept.ts';
import { failpoint } from '../base/failpoints.ts';
import { profileBytesMax } from '../policy/seccomp.ts';
import type { RunsDeps } from './deps.ts';
import type { ResolvedImage } from './images.ts';
import type { About } from './judging/about.ts';
import type { AcceptedRun, OpenRun } from './open-run.ts';
import type { RunFacts } from './state.ts';
import type { TakenOver } from './take-over.ts';
import { planNeeds, provide, type ProvideRequest } from './provide.ts';

export type Acceptance = {
  policy: EffectivePolicy;
  about: About;
  image: ResolvedImage;
  secrets: RunSecrets;
  plan: Plan;
  planDigest: Digest;
  narrowed: readonly string[];
  /** That it was accepted is in the log already: a daemon that died accepted it. */
  isRecorded: boolean;
  /** Tasks that an earlier daemon let go and that are still there. */
  taken?: ReadonlyMap<string, TakenOver>;
  /** Tasks that run anew whatever ran before. */
  fresh?: readonly string[];
};

/** Everything that tasks need, with the lockfiles judged; then, on record, the run may begin. */
export async function acceptedRun(
  deps: RunsDeps,
  run: OpenRun,
  accepted: Acceptance,
): Promise<AcceptedRun> {
  const { policy, about, image, secrets, plan, planDigest, narrowed, isRecorded } = accepted;
  const { fresh = [], taken = new Map<string, TakenOver>() } = accepted;
  const needed: ProvideRequest = {
    runId: run.id,
    snapshot: run.snapshot,
    plan,
    policy,
    about,
    image,
    signal: run.controller.signal,
  };
  const [needs] = await Promise.all([planNeeds(deps, needed), keepProfile(deps)]);
  if (!isRecorded) {
    await deps.log.append({
      type: 'run.accepted',
      run: run.id,
      pol: { hash: policy.digest, rule: 'review' },
      data: {
        plan: planDigest,
        policy: policy.digest,
        tasks: plan.tasks.length,
        image: `${image.reference} ${image.id}`,
        ...(narrowed.length === 0 ? {} : { narrowed: [...narrowed] }),
      },
    });
    failpoint('after-run-accepted');
  }
  const facts = deps.states.find(run.id);
  if (!facts) throw new OrchestraError('internal.bug', `${run.id} is not in the log`);
  return {
    ...run,
    plan,
    planDigest,
    ancestry: new Ancestry(topological(plan.tasks)),
    policy,
    about,
    image,
    npmCaches: provide(deps, needed, needs),
    secrets,
    artifactsLeft: artifactsLeft(policy, facts),
    concurrency: concurrencyFor({ concurrency: facts.concurrency }, policy),
    priority: facts.priority,
    cache: facts.cache,
    fresh: new Set(fresh),
    taken,
  };
}

/** The specs of its tasks name the filter by digest, and whoever takes a sandbox over reads it. */
async function keepProfile({ walls, blobs }: Pick<RunsDeps, 'walls' | 'blobs'>): Promise<void> {
  if (walls.seccomp === undefined) return;
  await blobs.put(Buffer.from(walls.seccomp.json), { maxBytes: profileBytesMax });
}

/**
 * What earlier daemons collected for the run is used up. Of a directory the log has the bytes and not
 * the number of files: it counts as one. What was taken from other runs is counted there.
 */
function artifactsLeft(
  { run }: EffectivePolicy,
  facts: RunFacts,
): { files: number; bytes: number } {
  const own = [...facts.tasks.values()].filter(({ from }) => from === undefined);
  const artifacts = own.flatMap((task) => task.artifacts);
  const bytes = artifacts.reduce((sum, artifact) => sum + artifact.bytes, 0);
  return {
    files: Math.max(0, run.artifactFiles - artifacts.length),
    bytes: Math.max(0, run.artifactBytes - bytes),
  };
}
