import { posix } from 'node:path';
import type { Digest } from '#contract/ids.ts';
import type { PlanTask } from '#contract/plan.ts';
import { baseEnvironment, defaultEnvironment, toolEnvironment } from '../tools/environment.ts';
import {
  homeTarget,
  npmCacheTarget,
  secretsBytes,
  secretsTarget,
  workspaceTarget,
  type Mount,
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
  workspace: Layers;
  npmCache: Layers | undefined;
};

const homeBytesMax = 64 * 1024 * 1024;

/** Turns a task of a plan into the exact sandbox that policy then judges. */
export function sandboxSpec(request: SpecRequest): SandboxSpec {
  const { task, runId, attempt } = request;
  return {
    name: `orc-${request.installId}-${runId}-${task.id.replaceAll(':', '.')}-a${attempt}`,
    image: request.image,
    command: task.command,
    cwd: posix.join(workspaceTarget, task.cwd),
    env: {
      ...baseEnvironment,
      ...defaultEnvironment,
      ...toolEnvironment[task.tool],
      ...task.env,
    },
    user: request.user,
    runtime: request.runtime,
    ...request.walls,
    limits: task.limits,
    mounts: mounts(request),
    labels: {
      'orchestra.install': request.installId,
      'orchestra.run': runId,
      'orchestra.task': task.id,
      'orchestra.attempt': String(attempt),
    },
    secrets: task.secrets,
  };
}

function mounts({ workspace, npmCache, task, user }: SpecRequest): Mount[] {
  const { tmpBytes } = task.limits;
  const homeBytes = Math.min(homeBytesMax, tmpBytes);
  const overlay = (layers: Layers, target: string): OverlayMount => ({
    kind: 'overlay',
    lower: layers.lower,
    upper: layers.upper,
    work: layers.work,
    target,
  });
  return [
    overlay(workspace, workspaceTarget),
    ...(npmCache ? [overlay(npmCache, npmCacheTarget)] : []),
    { kind: 'tmpfs', target: '/tmp', sizeBytes: tmpBytes, executable: false },
    { kind: 'tmpfs', target: homeTarget, sizeBytes: homeBytes, executable: false },
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
