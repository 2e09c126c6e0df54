import type { Digest } from '#contract/ids.ts';
import type { PlanTask } from '#contract/plan.ts';
import { runtimeFacts } from '../../engine/runtime-facts.ts';
import { filterName } from '../../policy/spec.ts';
import { emptyLayer, type Stack } from '../../workspace/layers.ts';
import { sandboxSpec, type SlotSpecRequest } from '../spec.ts';
import { type ActionFacts, actionVersion, layerFacts } from './action.ts';

export type TaskView = {
  /** What every sandbox of the task is made from (`slot.ts`, `requestFor`). */
  request: SlotSpecRequest;
  stack: Stack;
  /** Of npm's offline cache, for a task that gets one. */
  packages: Digest | undefined;
};

/** Whether what a task leaves may count for a later one: not where it is only half of what it did. */
export function isCacheable(task: Pick<PlanTask, 'secrets' | 'sideEffects'>): boolean {
  // The values of secrets are in no key, and what they gave access to is not in the workspace.
  return task.secrets.length === 0 && task.sideEffects !== true;
}

/** The facts of one task, from the same spec that its sandbox is made from. */
export function actionFacts({ request, stack, packages }: TaskView): ActionFacts {
  const none = { lower: [], upper: '', work: '' };
  const { command, cwd, env, image, user, limits, runtime, ...walls } = sandboxSpec({
    ...request,
    // What names a sandbox makes no difference to it.
    runId: '',
    attempt: 0,
    workspace: none,
    npmCache: packages === undefined ? undefined : none,
  });
  const { cpuMilli, memoryBytes, pids, openFiles, fileSizeBytes, tmpBytes } = limits;
  const { family } = runtimeFacts(runtime);
  const layers = stack.ancestors.map(({ layer }) => layer).filter((layer) => layer !== emptyLayer);
  return {
    version: actionVersion,
    command: [...command],
    env: { ...env },
    cwd,
    image: image.id,
    user,
    runtime: family === 'unknown' ? runtime : family,
    filter: filterName(walls.seccomp),
    ...(walls.apparmor === undefined ? {} : { apparmor: walls.apparmor }),
    ...(walls.selinux === undefined ? {} : { selinux: walls.selinux }),
    limits: { cpuMilli, memoryBytes, pids, openFiles, fileSizeBytes, tmpBytes },
    ...(packages === undefined ? {} : { packages }),
    snapshot: stack.snapshot,
    ...(stack.partial === true ? { partial: true } : {}),
    ...layerFacts(layers),
    outputs: request.task.outputs.map(({ name, path, required }) => ({ name, path, required })),
  };
}
