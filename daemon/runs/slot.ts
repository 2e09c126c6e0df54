import { OrchestraError } from '#contract/errors.ts';
import type { PlanTask } from '#contract/plan.ts';
import { digestOf } from '../base/canonical.ts';
import { cutText } from '../base/text.ts';
import { decide, type Decision } from '../policy/decide.ts';
import { chooseRuntime } from '../policy/runtime-choice.ts';
import { shapeOf, type SandboxSpec } from '../policy/spec.ts';
import { wallsUnder } from '../policy/walls.ts';
import type { AskSlot } from '../sandbox/ready-slots.ts';
import type { RunsDeps } from './deps.ts';
import type { AcceptedRun } from './open-run.ts';
import { slotSpec, type SlotSpecRequest } from './spec.ts';

/** What a task's sandbox and the slot that may become it have in common. */
export function requestFor(deps: RunsDeps, run: AcceptedRun, task: PlanTask): SlotSpecRequest {
  return {
    installId: deps.installId,
    image: { reference: run.image.reference, id: run.image.id },
    user: deps.sandboxUser,
    runtime: chooseRuntime(run.policy, deps.engineFacts, deps.runtime),
    walls: wallsUnder(run.policy, deps.walls),
    task,
  };
}

/** The rules on one exact spec, with what is known at this moment. */
export function judgeSpec(
  deps: RunsDeps,
  run: AcceptedRun,
  task: PlanTask,
  spec: SandboxSpec,
): Decision {
  return decide(spec, run.policy, {
    engine: deps.engineFacts,
    image: { ...run.image, pinned: deps.pins.get(run.image.reference) },
    task: { id: task.id, tool: task.tool },
    roots: deps.mountRoots,
  });
}

/**
 * Leave for sandboxes that wait for tasks like this one. Judged like any other and on record; what
 * takes one is judged again, with all that the task brings.
 */
export function askSlot(deps: RunsDeps, run: AcceptedRun, task: PlanTask): AskSlot {
  return async (identity) => {
    const spec = slotSpec(requestFor(deps, run, task), identity);
    const decision = judgeSpec(deps, run, task, spec);
    const reasons = decision.allow ? [] : decision.reasons.map((r) => `${r.rule}: ${r.message}`);
    await deps.log.append({
      type: 'policy.decided',
      outcome: decision.allow ? 'ok' : 'denied',
      sev: decision.allow ? 'info' : 'alert',
      obj: { container: spec.name },
      pol: {
        hash: run.policy.digest,
        rule: decision.allow ? 'all' : (decision.reasons[0]?.rule ?? ''),
      },
      data: {
        decision: decision.allow ? 'allow' : 'deny',
        spec: digestOf(spec),
        reasons: reasons.slice(0, 64).map((reason) => cutText(reason, 512)),
      },
    });
    if (!decision.allow) {
      throw new OrchestraError('policy.denied', `Policy denies a sandbox: ${reasons.join('; ')}`);
    }
    return deps.office.mint(spec);
  };
}

/** Has sandboxes made ready for tasks that are about to come: as many as can run at once. */
export function expectTasks(
  deps: RunsDeps,
  run: AcceptedRun,
  tasks: readonly PlanTask[],
  concurrency: number,
): void {
  const byShape = new Map<string, { task: PlanTask; spec: SandboxSpec; count: number }>();
  for (const task of tasks) {
    const spec = slotSpec(requestFor(deps, run, task), { slot: 'expected', doors: [] });
    const key = digestOf(shapeOf(spec));
    const known = byShape.get(key);
    if (known) known.count += 1;
    else byShape.set(key, { task, spec, count: 1 });
  }
  for (const { task, spec, count } of byShape.values()) {
    deps.sandbox.slots.expect(spec, askSlot(deps, run, task), Math.min(count, concurrency));
  }
}
