import { basename } from 'node:path/posix';
import { digestOf } from '../../../base/canonical.ts';
import type { SandboxSpec } from '../../../policy/spec.ts';
import type { Effective } from '../../engine.ts';
import { hostname } from './create.ts';
import { initTarget, mountsOf } from './mounts.ts';
import type { Inspected, OciConfig } from './oci.ts';
import { othersOf } from './others.ts';
import { seccompOf } from './seccomp.ts';

/**
 * What the runtime was given to make the container of, in our words: closer to the truth than what
 * any engine reports, and Podman's own report leaves out half. Pure; compared with what was asked.
 */
export function effectiveOf(
  found: Inspected,
  oci: OciConfig,
  asked: Pick<SandboxSpec, 'seccomp'>,
  isAdopted = false,
): Effective {
  const { process, linux, root } = oci;
  const { hasInit, command } = commandOf(process.args);
  const env = envOf(process.env);
  const caps = capsOf(process.capabilities);
  const { memory, cpu, pids } = linux.resources;
  return {
    settings: {
      image: found.Image.startsWith('sha256:') ? found.Image : `sha256:${found.Image}`,
      user: `${process.user.uid}:${process.user.gid}`,
      network: namespaceOf(oci, 'network') === 'private' ? found.HostConfig.NetworkMode : 'shared',
      readonly_root: root.readonly,
      no_new_privileges: process.noNewPrivileges,
      privileged: found.HostConfig.Privileged,
      caps_added: [...new Set([...caps, ...found.HostConfig.CapAdd])].toSorted(),
      caps_dropped: caps.length === 0 ? ['ALL'] : [],
      seccomp: seccompOf(linux.seccomp, asked.seccomp),
      apparmor: process.apparmorProfile ?? '',
      // user:role:type:level
      selinux: process.selinuxLabel?.split(':')[2] ?? '',
      ipc: namespaceOf(oci, 'ipc'),
      pid: namespaceOf(oci, 'pid'),
      cgroupns: namespaceOf(oci, 'cgroup'),
      runtime: basename(found.OCIRuntime),
      memory_bytes: whole(memory?.limit),
      memory_swap_bytes: whole(memory?.swap),
      cpu_milli: whole(((cpu?.quota ?? 0) * 1000) / (cpu?.period ?? Infinity)),
      pids: whole(pids?.limit),
      ulimits: process.rlimits
        .map(
          ({ type, soft, hard }) => `${type.replace(/^RLIMIT_/, '').toLowerCase()}=${soft}:${hard}`,
        )
        .toSorted(),
      devices: linux.devices.map((device) => JSON.stringify(device).slice(0, 256)),
      masked_paths: linux.maskedPaths.length,
      readonly_paths: linux.readonlyPaths.length,
      init: hasInit && oci.mounts.some(({ destination }) => destination === initTarget),
      shm_bytes: whole(found.HostConfig.ShmSize),
      command: digestOf(command),
      env_names: Object.keys(env).toSorted(),
      mounts: mountsOf(oci.mounts, found),
    },
    name: found.Name,
    command,
    cwd: process.cwd,
    env,
    labels: found.Config.Labels,
    maskedPaths: linux.maskedPaths,
    readonlyPaths: linux.readonlyPaths,
    others: othersOf(found, oci, isAdopted),
  };
}

function commandOf(args: readonly string[]): { hasInit: boolean; command: readonly string[] } {
  const hasInit = args[0] === initTarget && args[1] === '--';
  return { hasInit, command: hasInit ? args.slice(2) : args };
}

/** The host's name is a variable on every engine; Docker adds it later than it reports. */
function envOf(entries: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    entries
      .filter((entry) => entry !== `HOSTNAME=${hostname}`)
      .map((entry) => {
        const at = entry.indexOf('=');
        return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
      }),
  );
}

function capsOf(sets: OciConfig['process']['capabilities']): string[] {
  return sets === undefined ? ['unknown'] : Object.values(sets).flatMap((set) => set ?? []);
}

function namespaceOf({ linux }: OciConfig, wanted: string): string {
  const found = linux.namespaces.filter(({ type }) => type === wanted);
  const isOwn = found.length === 1 && (found[0]?.path ?? '') === '';
  return isOwn ? 'private' : found.length === 0 ? 'host' : 'shared';
}

const whole = (value: number | undefined) => Math.max(0, Math.round(value ?? 0));
