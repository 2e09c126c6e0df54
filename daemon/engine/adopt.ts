import {
  gateTarget,
  npmCacheTarget,
  workspaceTarget,
  type DoorMount,
  type SandboxSpec,
} from '../policy/spec.ts';
import type { Effective } from './engine.ts';
import { labelNames } from './labels.ts';

/**
 * What a container that was let go for `task` has to have been made as: exactly that task's, or the
 * sandbox that waited for one of its shape. Of such a one the name, the number and the doors are its
 * own, and taken as they are found; whose the doors are is another question. All the rest follows
 * from the task, so whatever else differs shows in the comparison.
 */
export function madeAs(task: SandboxSpec, found: Effective): SandboxSpec {
  const slot = found.labels[labelNames.slot];
  if (found.name === task.name || slot === undefined) return task;
  return {
    ...task,
    role: 'slot',
    name: found.name,
    command: [],
    cwd: '/',
    env: {},
    secrets: [],
    labels: {
      [labelNames.install]: task.labels[labelNames.install] ?? '',
      [labelNames.slot]: slot,
    },
    mounts: [...doorsIn(found), ...task.mounts.filter(({ kind }) => kind === 'tmpfs')],
  };
}

const doorTargets: readonly string[] = [workspaceTarget, npmCacheTarget, gateTarget];

// One that leads anywhere else is left out, and so is a mount that nobody asked for.
function doorsIn({ settings }: Effective): DoorMount[] {
  return settings.mounts
    .filter(({ kind, options }) => kind === 'bind' && options === 'rslave')
    .filter(({ target }) => doorTargets.includes(target))
    .map(({ source, target }) => ({ kind: 'door' as const, source, target }))
    .toSorted((a, b) => (a.source < b.source ? -1 : 1));
}
