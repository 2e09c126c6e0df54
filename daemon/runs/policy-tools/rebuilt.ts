import type { Digest } from '#contract/ids.ts';
import type { Plan, PlanTask } from '#contract/plan.ts';
import type { EffectivePolicy } from '../../policy/effective.ts';
import type { PolicyInput } from '../../policy/judgement.ts';
import type { SandboxSpec } from '../../policy/spec.ts';
import type { RunsDeps } from '../deps.ts';
import type { ResolvedImage } from '../images.ts';
import { expectedSpec } from '../expected.ts';
import { aboutRun } from '../judging/about.ts';
import { inputOf } from '../judging/task-input.ts';
import type { RunFacts } from '../state.ts';

const specBytesMax = 1024 * 1024;

/**
 * What a task of an earlier run would be judged on, made of what is on record: its plan, the sandbox
 * that it had, or else the one it would have. History is that of now. Undefined where it cannot be
 * made.
 */
export async function rebuilt(
  deps: RunsDeps,
  {
    run,
    plan,
    planDigest,
    policy,
  }: { run: RunFacts; plan: Plan; planDigest: Digest; policy: EffectivePolicy | undefined },
): Promise<(task: PlanTask, spec: Digest | undefined) => Promise<PolicyInput | undefined>> {
  if (policy === undefined) return () => Promise.resolve(undefined);
  const about = await aboutRun(deps, run, { plan, planDigest });
  const judging = { policy, about, image: imageOf(plan, policy) };
  return async (task, digest) => {
    try {
      const kept = digest === undefined ? undefined : await specOf(deps, digest);
      return inputOf(deps, judging, task, kept ?? expectedSpec(deps, judging, task));
    } catch {
      return undefined;
    }
  };
}

/** Only its name, its digest and where it came from are looked at; the last as the policy had it. */
function imageOf({ image }: Plan, { images }: EffectivePolicy): ResolvedImage {
  const listed = images.find(({ reference }) => reference === image.reference);
  const origin = listed?.origins[0] ?? 'assembled';
  return { ...image, origin, libc: 'musl', arch: '', tools: [] };
}

async function specOf({ blobs }: RunsDeps, digest: Digest): Promise<SandboxSpec | undefined> {
  const bytes = await blobs.read(digest, { maxBytes: specBytesMax }).catch(() => undefined);
  return bytes === undefined ? undefined : (JSON.parse(bytes.toString('utf8')) as SandboxSpec);
}
