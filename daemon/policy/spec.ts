import type { Digest } from '#contract/ids.ts';
import type { Limits } from '#contract/limits.ts';
import type { SeccompProfile } from './seccomp.ts';

/** A directory of the host shown in the sandbox. */
export type BindMount = {
  kind: 'bind';
  source: string;
  target: string;
  readonly: true;
};

/** Layers of the host joined by overlayfs: `lower` is ordered top first; writes go to `upper`. */
export type OverlayMount = {
  kind: 'overlay';
  lower: readonly string[];
  upper: string;
  work: string;
  target: string;
};

/**
 * The same for an engine that does not see the host's directories: a fresh volume of its own, into
 * which what `lower` shows is copied before the start, and from which what the task changed is read
 * back into `upper`. Nothing of the host is mounted.
 */
export type VolumeMount = Omit<OverlayMount, 'kind'> & { kind: 'volume' };

/** What a task writes to, over what it finds. */
export type LayeredMount = OverlayMount | VolumeMount;

export type TmpfsMount = {
  kind: 'tmpfs';
  target: string;
  sizeBytes: number;
  executable: boolean;
  /** Whose it is and nobody else's; open to all users of the sandbox where it is left out. */
  owner?: { uid: number; gid: number };
};

/**
 * An empty directory of the host, read-only in the sandbox, through which an overlay arrives when a
 * waiting sandbox is taken: what is mounted on `source` later appears at `target`.
 */
export type DoorMount = { kind: 'door'; source: string; target: string };

export type Mount = BindMount | LayeredMount | TmpfsMount | DoorMount;

export function isLayered(mount: Mount): mount is LayeredMount {
  return mount.kind === 'overlay' || mount.kind === 'volume';
}

/**
 * Everything that decides what one sandbox may do: what policy judges, what the engine is asked
 * for, and what inspection is compared with. There are no words here for a network, a capability,
 * a device, a privileged container or a host namespace.
 */
export type SandboxSpec = {
  /**
   * `task`: all of it is known. `slot`: a sandbox that waits for one, with everything that confines
   * it and nothing of what will run in it: no command, no variables, doors instead of layers.
   */
  role: 'task' | 'slot';
  /** The container's name, unique for run, task and attempt: creating it twice is noticed. */
  name: string;
  image: { reference: string; id: Digest };
  command: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string>>;
  user: { uid: number; gid: number };
  /** The OCI runtime by the engine's name for it, such as `runc`. */
  runtime: string;
  /** The seccomp profile as JSON text with the digest of that, or the engine's own built-in one. */
  seccomp: { profile: 'builtin' } | ({ profile: 'custom' } & SeccompProfile);
  apparmor: string | undefined;
  /** The type of an SELinux label; the engine's own where it is left out. */
  selinux?: string | undefined;
  limits: Limits;
  mounts: readonly Mount[];
  labels: Readonly<Record<string, string>>;
  /** Names of the secrets that are given at the release, as files beneath `secretsTarget`. */
  secrets: readonly string[];
};

export const workspaceTarget = '/workspace';
export const npmCacheTarget = '/opt/npm-cache';
/** Of a sandbox that waits: where the pipes for its task's output are. */
export const gateTarget = '/run/gate';
export const homeTarget = '/home/node';
export const secretsTarget = '/run/secrets';
export const secretsBytes = 1024 * 1024;

/**
 * What a task and the sandbox that waited for it must have in common, to the letter: everything but
 * what identifies a task and what it brings along.
 */
export function shapeOf(spec: SandboxSpec): object {
  const { role: _role, name: _name, labels: _labels, secrets: _secrets, ...rest } = spec;
  const { command: _command, cwd: _cwd, env: _env, mounts, seccomp, ...shape } = rest;
  return {
    ...shape,
    filter: filterName(seccomp),
    tmpfs: mounts.filter((mount) => mount.kind === 'tmpfs'),
  };
}

/** A profile is long: it is named by its digest wherever a spec is compared, kept or told. */
export function filterName(seccomp: SandboxSpec['seccomp']): string {
  return seccomp.profile === 'custom' ? seccomp.digest : 'builtin';
}
