import { posix } from 'node:path';
import type { Digest } from '#contract/ids.ts';
import type { PlanTask } from '#contract/plan.ts';
import type { LayersWay } from '../engine/sight.ts';
import { baseEnvironment, defaultEnvironment, toolEnvironment } from '../tools/environment.ts';
import {
  homeTarget,
  npmCacheTarget,
  secretsBytes,
  secretsTarget,
  workspaceTarget,
  type DoorMount,
  type Mount,
  type LayeredMount,
  type OverlayMount,
  type SandboxSpec,
} from '../policy/spec.ts';

type Layers = Pick<OverlayMount, 'lower' | 'upper' | 'work'>;

export type SpecRequest = {
  installId: string;
  runId: string;
  attempt: number;
  task: PlanTask;
  image: { reference: string; id: Digest };
  user: { uid: number; gid: number };
  runtime: string;
  walls: Pick<SandboxSpec, 'seccomp' | 'apparmor' | 'selinux'>;
  /** How its layers get to it; mounted if left out. */
  layers?: LayersWay;
  workspace: Layers;
  npmCache: Layers | undefined;
};

/** Of a request, what the sandbox that waits for such a task is made from. */
export type SlotSpecRequest = Pick<
  SpecRequest,
  'installId' | 'image' | 'user' | 'runtime' | 'walls' | 'task'
>;

const homeBytesMax = 64 * 1024 * 1024;

/** Turns a task of a plan into the exact sandbox that policy then judges. */
export function sandboxSpec(request: SpecRequest): SandboxSpec {
  const { task, runId, attempt } = request;
  return {
    ...confinement(request),
    role: 'task',
    name: `orc-${request.installId}-${runId}-${task.id.replaceAll(':', '.')}-a${attempt}`,
    command: task.command,
    cwd: posix.join(workspaceTarget, task.cwd),
    env: {
      ...baseEnvironment,
      ...defaultEnvironment,
      ...toolEnvironment[task.tool],
      ...task.env,
    },
    mounts: [...layers(request), ...memory(request)],
    labels: {
      'orchestra.install': request.installId,
      'orchestra.run': runId,
      'orchestra.task': task.id,
      'orchestra.attempt': String(attempt),
    },
    secrets: task.secrets,
  };
}

/** A sandbox that waits for a task which `sandboxSpec` makes of the same request. */
export function slotSpec(
  request: SlotSpecRequest,
  { slot, doors }: { slot: string; doors: readonly DoorMount[] },
): SandboxSpec {
  return {
    ...confinement(request),
    role: 'slot',
    name: `orc-${request.installId}-slot-${slot}`,
    command: [],
    cwd: '/',
    env: {},
    secrets: [],
    mounts: [...doors, ...memory(request)],
    labels: { 'orchestra.install': request.installId, 'orchestra.slot': slot },
  };
}

function confinement({ image, user, runtime, walls, task }: SlotSpecRequest) {
  return { image, user, runtime, ...walls, limits: task.limits };
}

function layers({ workspace, npmCache, layers: way }: SpecRequest): Mount[] {
  const overlay = ({ lower, upper, work }: Layers, target: string): LayeredMount => ({
    kind: way === 'streams' ? 'volume' : 'overlay',
    lower,
    upper,
    work,
    target,
  });
  return [
    overlay(workspace, workspaceTarget),
    ...(npmCache ? [overlay(npmCache, npmCacheTarget)] : []),
  ];
}

function memory({ task, user }: SlotSpecRequest): Mount[] {
  const { tmpBytes } = task.limits;
  const homeBytes = Math.min(homeBytesMax, tmpBytes);
  return [
    { kind: 'tmpfs', target: '/tmp', sizeBytes: tmpBytes, executable: false },
    // Its own, because the runtime gives a mount the mode of what it covers: not everybody's.
    { kind: 'tmpfs', target: homeTarget, sizeBytes: homeBytes, executable: false, owner: user },
    ...(task.secrets.length === 0 ? [] : [secretsMount(user)]),
  ];
}

function secretsMount(owner: SpecRequest['user']): Mount {
  return {
    kind: 'tmpfs',
    target: secretsTarget,
    sizeBytes: secretsBytes,
    executable: false,
    owner,
  };
}
