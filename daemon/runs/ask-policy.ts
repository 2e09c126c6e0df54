import { OrchestraError } from '#contract/errors.ts';
import type { PlanTask } from '#contract/plan.ts';
import { cutText } from '../base/text.ts';
import { spellSpec } from '../policy/kept-spec.ts';
import type { Permit } from '../policy/permit.ts';
import type { PreparedLayer } from '../workspace/layers.ts';
import type { Work } from './work.ts';
import type { RunsDeps } from './deps.ts';
import { taskEntry, type AcceptedRun } from './open-run.ts';
import { judgeSpec } from './slot.ts';
import { sandboxSpec, type SlotSpecRequest } from './spec.ts';
import { failpoint } from '../base/failpoints.ts';

/** A layer of its own over npm's offline cache, for a task that gets one. */
export type NpmLayer = Pick<PreparedLayer, 'id' | 'lower' | 'upper' | 'work'> | undefined;

/** Judged again on the exact spec, at the moment of use; from here on the task counts as begun. */
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
  const decision = judgeSpec(deps, run, task, spec);
  // Given away only once its record is durable.
  const permit = decision.allow ? deps.office.mint(spec) : undefined;
  const { spelled, digest } = permit ?? spellSpec(spec);
  const stored = deps.blobs.put(Buffer.from(spelled), { maxBytes: 1024 * 1024 });
  const reasons = decision.allow ? [] : decision.reasons.map((r) => `${r.rule}: ${r.message}`);
  const decided = taskEntry(run, task.id, {
    type: 'policy.decided',
    outcome: decision.allow ? 'ok' : 'denied',
    sev: decision.allow ? 'info' : 'alert',
    pol: {
      hash: run.policy.digest,
      rule: decision.allow ? 'all' : (decision.reasons[0]?.rule ?? ''),
    },
    data: {
      attempt,
      decision: decision.allow ? 'allow' : 'deny',
      spec: digest,
      reasons: reasons.slice(0, 64).map((reason) => cutText(reason, 512)),
    },
  });
  const started = taskEntry(run, task.id, {
    type: 'task.started',
    data: { attempt, spec: digest, ...(work.action === undefined ? {} : { action: work.action }) },
  });
  failpoint('before-task-started');
  const recorded = deps.log.appendAll(decision.allow ? [decided, started] : [decided]);
  await Promise.all([recorded, stored]);
  failpoint('after-task-started');
  if (permit === undefined) {
    throw new OrchestraError('policy.denied', `Policy denies ${task.id}: ${reasons.join('; ')}`);
  }
  return permit;
}
