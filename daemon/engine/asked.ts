import { hash } from 'node:crypto';
import { digestOf } from '../base/canonical.ts';
import {
  filterName,
  type Mount,
  type OverlayMount,
  type SandboxSpec,
  type TmpfsMount,
} from '../policy/spec.ts';
import type { Effective, EffectiveSettings, HostFacts } from './engine.ts';
import { gate } from './gate.ts';
import { pidsLimitFor } from './runtime-facts.ts';

type EffectiveMount = EffectiveSettings['mounts'][number];

/** Bytes of /dev/shm. Counted against the memory limit like every other page. */
export const shmBytes = 64 * 1024 * 1024;

/**
 * What an engine that does exactly as it is told reports for this spec. The command is the gate's:
 * what the task brings is not there yet.
 */
export function askedFor(spec: SandboxSpec, host: HostFacts): Effective {
  return {
    settings: {
      image: spec.image.id,
      user: `${spec.user.uid}:${spec.user.gid}`,
      network: 'none',
      readonly_root: true,
      no_new_privileges: true,
      privileged: false,
      caps_added: [],
      caps_dropped: ['ALL'],
      seccomp: filterName(spec.seccomp),
      apparmor: spec.apparmor ?? '',
      selinux: spec.selinux ?? '',
      ipc: 'private',
      pid: 'private',
      cgroupns: 'private',
      runtime: spec.runtime,
      memory_bytes: spec.limits.memoryBytes,
      memory_swap_bytes: spec.limits.memoryBytes,
      cpu_milli: spec.limits.cpuMilli,
      pids: pidsLimitFor(spec.runtime, spec.limits.pids),
      ulimits: ulimitsOf(spec, host).map(({ name, value }) => `${name}=${value}:${value}`),
      devices: [],
      masked_paths: 0,
      readonly_paths: 0,
      init: true,
      shm_bytes: shmBytes,
      command: digestOf(gate.command),
      env_names: Object.keys(gate.env).toSorted(),
      mounts: [...spec.mounts.map(effectiveMount), ...hostsMounts(host)].toSorted(byTarget),
    },
    name: spec.name,
    command: gate.command,
    cwd: gate.cwd,
    env: gate.env,
    labels: spec.labels,
    maskedPaths: [],
    readonlyPaths: [],
    others: [],
  };
}

const readonlyBind = { readonly: true, options: 'rprivate' };

function hostsMounts({ hostsFile: source }: HostFacts): EffectiveMount[] {
  return source === undefined
    ? []
    : [{ kind: 'bind', source, target: '/etc/hosts', ...readonlyBind }];
}

function effectiveMount(mount: Mount): EffectiveMount {
  switch (mount.kind) {
    case 'bind':
      return { kind: 'bind', source: mount.source, target: mount.target, ...readonlyBind };
    case 'door':
      return {
        kind: 'bind',
        source: mount.source,
        target: mount.target,
        readonly: true,
        options: 'rslave',
      };
    case 'overlay':
      return {
        kind: 'overlay',
        source: mount.upper,
        target: mount.target,
        readonly: false,
        options: overlayName(overlayOptions(mount)),
      };
    case 'volume':
      // Where it lies is the engine's business; that it is empty and nobody else's is looked at.
      return { kind: 'volume', source: '', target: mount.target, readonly: false, options: '' };
    case 'tmpfs':
      return {
        kind: 'tmpfs',
        source: '',
        target: mount.target,
        readonly: false,
        options: tmpfsOptions(mount),
      };
  }
}

export function byTarget(a: EffectiveMount, b: EffectiveMount): number {
  return a.target < b.target ? -1 : a.target > b.target ? 1 : 0;
}

/** A profile can be larger than a record: the log names it by its digest. */
export function seccompName(json: string): string {
  return `sha256:${hash('sha256', json, 'hex')}`;
}

/** Options of an overlay can be 4096 bytes long: the log names them by their digest. */
export function overlayName(options: string): string {
  return `sha256:${hash('sha256', options, 'hex')}`;
}

/**
 * The mount options of an overlay. `userxattr` keeps its bookkeeping in `user.*` attributes, which
 * a daemon without privileges can read when it seals the layer.
 */
export function overlayOptions(mount: OverlayMount): string {
  const lower = mount.lower.join(':');
  return `lowerdir=${lower},upperdir=${mount.upper},workdir=${mount.work},userxattr,nosuid,nodev`;
}

/** One inode for every 4 KiB: what is not bounded in number is not bounded. */
export function tmpfsOptions(mount: TmpfsMount): string {
  const inodes = Math.max(1024, Math.ceil(mount.sizeBytes / 4096));
  const { owner } = mount;
  const access = owner ? `mode=0700,uid=${owner.uid},gid=${owner.gid}` : 'mode=1777';
  const exec = mount.executable ? 'exec' : 'noexec';
  return `rw,nosuid,nodev,${exec},size=${mount.sizeBytes},nr_inodes=${inodes},${access}`;
}

/**
 * Always explicit, because an engine's defaults may be above what the host allows (Podman's are).
 * The number of processes is bounded by the cgroup: the ulimit counts all processes of that user on
 * the whole machine, so a low one would let parallel tasks starve each other.
 */
export function ulimitsOf(spec: SandboxSpec, host: HostFacts): { name: string; value: number }[] {
  return [
    { name: 'core', value: 0 },
    { name: 'fsize', value: spec.limits.fileSizeBytes },
    { name: 'nofile', value: Math.min(spec.limits.openFiles, host.openFilesMax) },
    { name: 'nproc', value: host.processesMax },
  ];
}
