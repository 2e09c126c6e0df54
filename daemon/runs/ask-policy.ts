import { hash } from 'node:crypto';
import { OrchestraError } from '#contract/errors.ts';
import type { Digest } from '#contract/ids.ts';
import type { PlanTask } from '#contract/plan.ts';
import { cutText } from '../base/text.ts';
import { likeOf } from '../planner/learning/family.ts';
import { spellSpec } from '../policy/kept-spec.ts';
import type { Permit } from '../policy/permit.ts';
import type { PreparedLayer } from '../workspace/layers.ts';
import type { Work } from './work.ts';
import type { RunsDeps } from './deps.ts';
import { keepPolicy } from './accept.ts';
import { decidedBy, judgeTask, looksAtInput, spellInput } from './judging/judge-task.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';
import { grantFor, NotCleared } from './requests/clear.ts';
import { sandboxSpec, type SlotSpecRequest } from './spec.ts';
import { failpoint } from '../base/failpoints.ts';

/** A layer of its own over npm's offline cache, for a task that gets one. */
export type NpmLayer = Pick<PreparedLayer, 'id' | 'lower' | 'upper' | 'work'> | undefined;

/**
 * Judged again on the exact spec and under the ceiling of now, at the moment of use; from here on the
 * task counts as begun. Throws `NotCleared`, with nothing on record, where a rule asks for leave that
 * nobody gave for exactly this.
 */
export async function askPolicy(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  {
    attempt,
    work,
    request,
    layer,
    npmCache,
  }: {
    attempt: number;
    work: Work;
    request: SlotSpecRequest;
    layer: PreparedLayer;
    npmCache: NpmLayer;
  },
): Promise<Permit> {
  const spec = sandboxSpec({
    ...request,
    runId: run.id,
    attempt,
    workspace: layer,
    npmCache,
    layers: deps.layersWay,
  });
  run.policy = deps.policies.today(run.policy);
  const { isDenied, reasons, rule, judgement, input } = judgeTask(deps, run, task, spec);
  const granted = isDenied ? undefined : grantFor(deps, run, task, { spec, judgement });
  if (!isDenied && judgement.effect === 'ask' && granted === undefined) {
    throw new NotCleared(task.id, { spec, judgement });
  }
  // Given away only once its record is durable.
  const permit = isDenied ? undefined : deps.office.mint(spec);
  const { spelled, digest } = permit ?? spellSpec(spec);
  const kept = looksAtInput(run.policy) ? spellInput(input) : undefined;
  const stored = Promise.all([
    deps.blobs.put(Buffer.from(spelled), { maxBytes: specBytesMax }),
    kept && deps.blobs.put(kept, { maxBytes: specBytesMax }),
    // What a reload made of it is named from here on.
    run.policy.digest === deps.states.find(run.id)?.policy || keepPolicy(deps, run.policy),
  ]);
  const decided = taskEntry(run, task.id, {
    type: 'policy.decided',
    outcome: isDenied ? 'denied' : 'ok',
    sev: isDenied ? 'alert' : 'info',
    pol: { hash: run.policy.digest, rule },
    data: {
      attempt,
      decision: isDenied ? 'deny' : 'allow',
      spec: digest,
      reasons: reasons.slice(0, 64).map((reason) => cutText(reason, 512)),
      ...decidedBy(judgement),
      ...(kept === undefined ? {} : { input: digestOfBytes(kept) }),
      ...(granted === undefined ? {} : { request: granted.id }),
    },
  });
  const started = taskEntry(run, task.id, {
    type: 'task.started',
    data: {
      attempt,
      spec: digest,
      ...(work.action === undefined ? {} : { action: work.action }),
      like: likeOf(task, run.ancestry.of(task.id)),
    },
  });
  failpoint('before-task-started');
  const recorded = deps.log.appendAll(isDenied ? [decided] : [decided, started]);
  await Promise.all([recorded, stored]);
  failpoint('after-task-started');
  if (permit === undefined) {
    throw new OrchestraError('policy.denied', `Policy denies ${task.id}: ${reasons.join('; ')}`);
  }
  return permit;
}

const specBytesMax = 1024 * 1024;

function digestOfBytes(bytes: Buffer): Digest {
  return `sha256:${hash('sha256', bytes, 'hex')}`;
}
