import type { SandboxSpec } from '#daemon/policy/spec.ts';
import type { HostFacts } from '#daemon/engine/engine.ts';
import { specGenerator } from '#daemon/engine/drivers/podman/create.ts';

const id = 'c'.repeat(64);

/** What Podman 4.3.1 reports of a container that it made as asked, and gives to the runtime. */
export function podmanContainer(spec: SandboxSpec, host: HostFacts) {
  const asked = specGenerator(spec, host, '/state/seccomp.json');
  const own = (file: string) => `/run/containers/overlay-containers/${id}/userdata/${file}`;
  const kernel = (destination: string, type: string, ...options: string[]) => ({
    destination,
    type,
    source: type,
    options: ['nosuid', 'noexec', 'nodev', ...options] as string[],
  });
  const bound = (destination: string, source: string, ...options: string[]) => ({
    destination,
    type: 'bind',
    source,
    options: ['bind', 'rprivate', ...options],
  });
  const found = {
    Id: id,
    Name: spec.name,
    Image: asked.image,
    Pod: '',
    OCIRuntime: `/usr/bin/${spec.runtime}`,
    OCIConfigPath: '/containers/config.json',
    State: { Status: 'initialized', Pid: 7 },
    Dependencies: [],
    Config: {
      Labels: { ...spec.labels, 'of.the.image': 'x' },
      OpenStdin: true,
      Tty: false,
      Healthcheck: { Test: ['NONE'] },
    },
    HostConfig: {
      NetworkMode: 'none',
      Privileged: false,
      CapAdd: [],
      ShmSize: asked.shm_size,
      AutoRemove: false,
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'none' },
      PortBindings: {},
      VolumesFrom: null,
    },
  };
  const oci = {
    ociVersion: '1.0.2-dev',
    hostname: 'sandbox',
    process: {
      user: { uid: spec.user.uid, gid: spec.user.gid, umask: 18, additionalGids: [spec.user.gid] },
      args: ['/run/podman-init', '--', ...asked.command],
      env: [...Object.entries(asked.env).map(([k, v]) => `${k}=${v}`), 'HOSTNAME=sandbox'],
      cwd: asked.work_dir,
      capabilities: {} as Record<string, string[]>,
      rlimits: asked.r_limits.map(({ type, soft, hard }) => ({
        type: `RLIMIT_${type.toUpperCase()}`,
        soft,
        hard,
      })),
      noNewPrivileges: true,
    },
    root: { path: '/containers/merged', readonly: true },
    mounts: [
      kernel('/proc', 'proc'),
      kernel('/sys', 'sysfs', 'ro'),
      kernel('/sys/fs/cgroup', 'cgroup', 'ro', 'rprivate', 'relatime'),
      kernel('/dev', 'tmpfs', 'mode=755'),
      kernel('/dev/pts', 'devpts', 'newinstance'),
      kernel('/dev/mqueue', 'mqueue'),
      bound('/dev/shm', own('shm'), 'nosuid', 'noexec', 'nodev'),
      bound('/run/.containerenv', own('.containerenv'), 'ro'),
      bound('/etc/hostname', own('hostname'), 'ro'),
      bound('/run/podman-init', '/usr/libexec/podman/catatonit', 'ro'),
      ...asked.mounts.map((mount) => ({
        ...mount,
        options: mount.options.filter((word) => word !== 'notmpcopyup'),
      })),
    ],
    linux: {
      namespaces: ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'].map((type) => ({
        type,
        path: '',
      })),
      sysctl: { 'net.ipv4.ping_group_range': '0 0' } as Record<string, string>,
      devices: [] as object[],
      resources: {
        devices: [{ allow: false, access: 'rwm' }] as object[],
        ...asked.resource_limits,
      },
      seccomp: filterOf(spec.seccomp),
      maskedPaths: ['/proc/kcore', '/proc/keys', '/proc/timer_list', '/sys/firmware'],
      readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
    },
  };
  return { found, oci };
}

// As Podman hands a profile on: without what is zero or only a comment.
function filterOf(seccomp: SandboxSpec['seccomp']) {
  if (seccomp.profile === 'builtin') throw new Error('Podman is always given a profile');
  const { defaultAction, syscalls } = JSON.parse(seccomp.json) as {
    defaultAction: string;
    syscalls: {
      names: string[];
      action: string;
      errnoRet?: number;
      args: { valueTwo: number }[];
    }[];
  };
  return {
    defaultAction,
    architectures: ['SCMP_ARCH_X86_64'],
    syscalls: syscalls.map(({ names, action, errnoRet, args }) => ({
      names,
      action,
      ...(errnoRet === undefined ? {} : { errnoRet }),
      ...(args.length === 0
        ? {}
        : {
            args: args.map(({ valueTwo, ...arg }) => (valueTwo === 0 ? arg : { ...arg, valueTwo })),
          }),
    })) as object[],
  };
}

export type PodmanContainer = ReturnType<typeof podmanContainer>;
