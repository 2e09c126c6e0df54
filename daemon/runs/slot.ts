import { OrchestraError } from '#contract/errors.ts';
import type { PlanTask } from '#contract/plan.ts';
import { digestOf } from '../base/canonical.ts';
import { cutText } from '../base/text.ts';
import { spellSpec } from '../policy/kept-spec.ts';
import { decide, type Decision } from '../policy/decide.ts';
import { chooseRuntime } from '../policy/runtime-choice.ts';
import { shapeOf, type SandboxSpec } from '../policy/spec.ts';
import { wallsUnder } from '../policy/walls.ts';
import type { AskSlot } from '../sandbox/ready-slots.ts';
import type { RunsDeps } from './deps.ts';
import type { AcceptedRun } from './open-run.ts';
import { listsFor } from './judging/task-input.ts';
import { slotSpec, type SlotSpecRequest } from './spec.ts';

/** What a task's sandbox and the slot that may become it have in common. */
export function requestFor(
  deps: RunsDeps,
  run: Pick<AcceptedRun, 'policy' | 'image' | 'about'>,
  task: PlanTask,
): SlotSpecRequest {
  const policy = listsFor(deps, run, task);
  return {
    installId: deps.installId,
    image: { reference: run.image.reference, id: run.image.id },
    user: deps.sandboxUser,
    runtime: runtimeFor(deps, { policy }),
    walls: wallsUnder(policy, deps.walls),
    task,
  };
}

/** The first of the policy's list that works; where none does, the one that is tried again first. */
function runtimeFor(
  { engineFacts, circuits, runtime }: RunsDeps,
  { policy }: Pick<AcceptedRun, 'policy'>,
): string {
  const listed = policy.isolation.runtimes.filter((one) => engineFacts.runtimes.includes(one));
  const [first, ...others] = listed.map(componentOf);
  if (runtime !== undefined || first === undefined) {
    return chooseRuntime(policy, engineFacts, runtime);
  }
  const chosen = circuits.choose([first, ...others]);
  return listed.find((one) => componentOf(one) === chosen) ?? first;
}

/** As what a runtime is watched whether it works. */
export function componentOf(runtime: string): string {
  return `runtime:${runtime}`;
}

/** The rules on one exact spec, with what is known at this moment. */
export function judgeSpec(
  deps: RunsDeps,
  run: Pick<AcceptedRun, 'policy' | 'image'>,
  task: PlanTask,
  spec: SandboxSpec,
): Decision {
  return decide(spec, run.policy, {
    engine: deps.engineFacts,
    image: { ...run.image, pinned: deps.pins.get(run.image.reference) },
    task: { id: task.id, tool: task.tool, given: task.given },
    roots: deps.mountRoots,
    refusesByDefault: deps.refusesByDefault,
  });
}

/**
 * Leave for sandboxes that wait for tasks like this one. Judged by the lists that such a task gets, and
 * on record; what takes one is judged again, with all that the task brings and by every rule.
 */
export function askSlot(deps: RunsDeps, run: AcceptedRun, task: PlanTask): AskSlot {
  return async (identity) => {
    const spec = slotSpec(requestFor(deps, run, task), identity);
    const policy = listsFor(deps, run, task);
    const decision = judgeSpec(deps, { policy, image: run.image }, task, spec);
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
        spec: spellSpec(spec).digest,
        reasons: reasons.slice(0, 64).map((reason) => cutText(reason, 512)),
      },
    });
    if (!decision.allow) {
      throw new OrchestraError('policy.denied', `Policy denies a sandbox: ${reasons.join('; ')}`);
    }
    return deps.office.mint(spec);
  };
}

/**
 * Has sandboxes made ready for the tasks of a run: as many of a shape as are still to come and can
 * run at once. Call what it gives back with each task that begins.
 */
export function expectTasks(
  deps: RunsDeps,
  run: AcceptedRun,
  concurrency: number,
): (begun: PlanTask) => void {
  const { slots } = deps.sandbox;
  const groups = new Map<string, { spec: SandboxSpec; ask: AskSlot; left: number }>();
  const groupOf = new Map<PlanTask, string>();
  for (const task of run.plan.tasks) {
    const spec = slotSpec(requestFor(deps, run, task), { slot: 'expected', doors: [] });
    const key = digestOf(shapeOf(spec));
    const known = groups.get(key);
    groupOf.set(task, key);
    if (known) known.left += 1;
    else groups.set(key, { spec, ask: askSlot(deps, run, task), left: 1 });
  }
  const expect = (key: string) => {
    const group = groups.get(key);
    if (group) slots.expect(group.spec, group.ask, Math.min(group.left, concurrency));
  };
  for (const key of groups.keys()) expect(key);
  return (begun) => {
    const key = groupOf.get(begun) ?? '';
    const group = groups.get(key);
    if (group) group.left -= 1;
    expect(key);
  };
}
