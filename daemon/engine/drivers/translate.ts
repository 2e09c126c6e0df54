import type { ContainerCreateOptions, HostConfig, MountSettings } from 'dockerode';
import type { Mount, SandboxSpec } from '../../policy/spec.ts';
import { overlayOptions, shmBytes, tmpfsOptions, ulimitsOf } from '../asked.ts';
import type { HostFacts } from '../engine.ts';
import { gate } from '../gate.ts';
import { pidsLimitFor } from '../runtime-facts.ts';

/**
 * A spec in the words of the engine's API. Pure; what comes back is compared with the spec, so a
 * mistake here ends in a refused sandbox, not in a weaker one.
 */
export function createOptions(
  spec: SandboxSpec,
  host: HostFacts,
  imageEnv: readonly string[],
): ContainerCreateOptions {
  return {
    name: spec.name,
    Image: spec.image.id,
    // An empty list clears the image's entry point; leaving it out would keep it.
    Entrypoint: [],
    Cmd: [...gate.command],
    WorkingDir: gate.cwd,
    Env: envOf(imageEnv),
    User: `${spec.user.uid}:${spec.user.gid}`,
    Hostname: 'sandbox',
    Labels: { ...spec.labels },
    // Beside saving half of the start, this gives a network namespace with nothing but loopback
    // even if the mode below were ignored. But then the engine leaves /etc/hosts empty, which only a
    // file of ours can make up for.
    NetworkDisabled: host.hostsFile !== undefined,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    OpenStdin: true,
    StdinOnce: true,
    Tty: false,
    StopTimeout: 1,
    Healthcheck: { Test: ['NONE'] },
    HostConfig: hostConfig(spec, host),
  };
}

/** Else the engine would show the name servers of its machine. */
export const noNames = { Dns: ['127.0.0.1'], DnsSearch: ['.'] };

function hostConfig(spec: SandboxSpec, host: HostFacts): HostConfig & { CgroupnsMode: string } {
  return {
    NetworkMode: 'none',
    ...(host.hostsFile === undefined ? noNames : {}),
    Privileged: false,
    ReadonlyRootfs: true,
    CapDrop: ['ALL'],
    SecurityOpt: securityOptions(spec),
    IpcMode: 'private',
    PidMode: '',
    UTSMode: '',
    CgroupnsMode: 'private',
    // A first process that reaps orphans and passes signals on: without it SIGTERM is ignored by
    // every program that installs no handler of its own.
    Init: true,
    Runtime: spec.runtime,
    NanoCpus: spec.limits.cpuMilli * 1_000_000,
    Memory: spec.limits.memoryBytes,
    MemorySwap: spec.limits.memoryBytes,
    PidsLimit: pidsLimitFor(spec.runtime, spec.limits.pids),
    Ulimits: ulimitsOf(spec, host).map(({ name, value }) => ({
      Name: name,
      Soft: value,
      Hard: value,
    })),
    ShmSize: shmBytes,
    RestartPolicy: { Name: 'no' },
    AutoRemove: false,
    // The daemon takes the output from the attached stream and stores it itself.
    LogConfig: { Type: 'none', Config: {} },
    Tmpfs: Object.fromEntries(
      spec.mounts.flatMap((mount) =>
        mount.kind === 'tmpfs' ? [[mount.target, tmpfsOptions(mount)]] : [],
      ),
    ),
    Mounts: [
      ...spec.mounts.flatMap((mount) => mountSettings(mount, spec.labels)),
      ...(host.hostsFile === undefined ? [] : [bind(host.hostsFile, '/etc/hosts', 'rprivate')]),
    ],
  };
}

// A name without "=" takes a variable of the image away.
function envOf(imageEnv: readonly string[]): string[] {
  const inherited = imageEnv.map((entry) => entry.split('=', 1)[0] ?? '');
  return [
    ...Object.entries(gate.env).map(([name, value]) => `${name}=${value}`),
    ...inherited.filter((name) => name !== '' && !Object.hasOwn(gate.env, name)),
  ];
}

function securityOptions(spec: SandboxSpec): string[] {
  return [
    'no-new-privileges:true',
    ...(spec.seccomp.profile === 'custom' ? [`seccomp=${spec.seccomp.json}`] : []),
    ...(spec.apparmor === undefined ? [] : [`apparmor=${spec.apparmor}`]),
    ...(spec.selinux === undefined ? [] : [`label=type:${spec.selinux}`]),
  ];
}

function mountSettings(mount: Mount, labels: SandboxSpec['labels']): MountSettings[] {
  switch (mount.kind) {
    case 'bind':
      return [bind(mount.source, mount.target, 'rprivate')];
    case 'door':
      return [bind(mount.source, mount.target, 'rslave')];
    case 'overlay':
      // No name: the engine makes the volume with the container and takes it away with it, so that
      // neither can be left behind without the other.
      return [
        {
          Type: 'volume',
          Source: '',
          Target: mount.target,
          VolumeOptions: {
            NoCopy: true,
            Labels: { ...labels },
            DriverConfig: {
              Name: 'local',
              Options: { type: 'overlay', device: 'overlay', o: overlayOptions(mount) },
            },
          },
        },
      ];
    case 'volume':
      // Likewise, and empty: what comes into it is said after it is made.
      return [
        {
          Type: 'volume',
          Source: '',
          Target: mount.target,
          VolumeOptions: { NoCopy: true, Labels: { ...labels } } as MountSettings['VolumeOptions'],
        },
      ];
    case 'tmpfs':
      return [];
  }
}

// Not recursive: what may be mounted beneath the source would not be read-only.
function bind(source: string, target: string, propagation: 'rprivate' | 'rslave'): MountSettings {
  return {
    Type: 'bind',
    Source: source,
    Target: target,
    ReadOnly: true,
    BindOptions: { Propagation: propagation, NonRecursive: true } as MountSettings['BindOptions'] &
      object,
  };
}
