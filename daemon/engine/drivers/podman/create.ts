import { OrchestraError } from '#contract/errors.ts';
import type { Mount, SandboxSpec } from '../../../policy/spec.ts';
import { overlayOptions, shmBytes, tmpfsOptions, ulimitsOf } from '../../asked.ts';
import type { HostFacts } from '../../engine.ts';
import { gate, ownDeadlineSeconds } from '../../gate.ts';
import { pidsLimitFor } from '../../runtime-facts.ts';

type OciMount = { destination: string; type: string; source: string; options: string[] };

/** Processor time is given out in slices of this length. */
export const cpuPeriodUs = 100_000;
export const hostname = 'sandbox';

/**
 * A spec in the words of Podman's own API. Pure; what the runtime was given is compared with the
 * spec, so a mistake here ends in a refused sandbox, not in a weaker one.
 */
export function specGenerator(spec: SandboxSpec, host: HostFacts, seccompFile: string) {
  return {
    name: spec.name,
    image: spec.image.id.replace(/^sha256:/, ''),
    image_volume_mode: 'ignore',
    entrypoint: [],
    command: [...gate.command],
    work_dir: gate.cwd,
    env: { ...gate.env },
    // Neither the image's variables nor Podman's own `container` and `TERM`.
    unsetenvall: true,
    httpproxy: false,
    user: `${spec.user.uid}:${spec.user.gid}`,
    // Without these Podman writes an own /etc/passwd, /etc/hosts and /etc/resolv.conf.
    manage_password: false,
    use_image_hosts: true,
    use_image_resolve_conf: true,
    hostname,
    labels: { ...spec.labels },
    terminal: false,
    stdin: true,
    stop_timeout: 1,
    // Kept by the monitor of the container, out of the task's reach. One that waits for a task ends
    // with the stream that it would come over.
    ...(spec.role === 'task' ? { timeout: ownDeadlineSeconds(spec.limits) } : {}),
    healthconfig: { Test: ['NONE'] },
    restart_policy: 'no',
    remove: false,
    systemd: 'false',
    sdnotifyMode: 'ignore',
    // The daemon takes the output from the attached stream and stores it itself.
    log_configuration: { driver: 'none' },
    init: true,
    oci_runtime: spec.runtime,
    ...namespaces(),
    ...confinement(spec, seccompFile),
    ...resources(spec, host),
    mounts: [
      ...spec.mounts.map(ociMount),
      ...(host.hostsFile === undefined ? [] : [bind(host.hostsFile, '/etc/hosts', 'rprivate')]),
    ] satisfies OciMount[],
  };
}

function namespaces() {
  const own = { nsmode: 'private' };
  return {
    netns: { nsmode: 'none' },
    pidns: own,
    utsns: own,
    ipcns: own,
    cgroupns: own,
    userns: { nsmode: 'host' },
  };
}

function confinement(spec: SandboxSpec, seccompFile: string) {
  return {
    privileged: false,
    read_only_filesystem: true,
    no_new_privileges: true,
    cap_add: [],
    cap_drop: ['ALL'],
    seccomp_profile_path: seccompFile,
    ...(spec.apparmor === undefined ? {} : { apparmor_profile: spec.apparmor }),
    ...(spec.selinux === undefined ? {} : { selinux_opts: [`type:${spec.selinux}`] }),
  };
}

function resources(spec: SandboxSpec, host: HostFacts) {
  const { memoryBytes, cpuMilli, pids } = spec.limits;
  return {
    shm_size: shmBytes,
    r_limits: ulimitsOf(spec, host).map(({ name, value }) => ({
      type: name,
      soft: value,
      hard: value,
    })),
    resource_limits: {
      memory: { limit: memoryBytes, swap: memoryBytes },
      cpu: { period: cpuPeriodUs, quota: (cpuMilli * cpuPeriodUs) / 1000 },
      pids: { limit: pidsLimitFor(spec.runtime, pids) },
    },
  };
}

function ociMount(mount: Mount): OciMount {
  switch (mount.kind) {
    case 'bind':
      return bind(mount.source, mount.target, 'rprivate');
    case 'door':
      return bind(mount.source, mount.target, 'rslave');
    case 'overlay':
      // Mounted by the runtime itself, so there is no volume that could be left behind.
      return {
        destination: mount.target,
        type: 'overlay',
        source: 'overlay',
        options: overlayOptions(mount).split(','),
      };
    case 'volume':
      throw new OrchestraError('config.invalid', 'Podman has to see the disk of this daemon', {
        hint: 'run orchestrad on its machine, or use Docker there',
      });
    case 'tmpfs':
      return {
        destination: mount.target,
        type: 'tmpfs',
        source: 'tmpfs',
        options: tmpfsWords(tmpfsOptions(mount)),
      };
  }
}

/**
 * Podman knows the options of a tmpfs by a list without `nr_inodes` and the owner, and refuses them
 * (4.3.1). The runtime joins the options by commas, so they stay with `size` and `mode`, which are
 * on the list.
 */
function tmpfsWords(options: string): string[] {
  const words = options.replaceAll(/,(nr_inodes|uid|gid)=/g, '\0$1=').split(',');
  return [...words.map((word) => word.replaceAll('\0', ',')), 'notmpcopyup', 'rprivate'];
}

// Not recursive: what may be mounted beneath the source would not be read-only.
function bind(source: string, destination: string, propagation: string): OciMount {
  const options = ['ro', 'bind', 'nosuid', 'nodev', propagation];
  return { destination, type: 'bind', source, options };
}
