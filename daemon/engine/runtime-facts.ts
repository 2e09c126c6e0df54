/**
 * What an OCI runtime does with what it is asked for, where runtimes differ. Known by family: an
 * operator may register one under a name of his own, such as `runsc-debug`.
 */
export type RuntimeFacts = {
  family: 'runc' | 'crun' | 'gvisor' | 'kata' | 'unknown';
  /** Whose code answers the system calls of a task. */
  kernel: 'the host’s' | 'its own';
  /**
   * `kernel`: the host's kernel applies the filter to the task. `inside`: the runtime's own kernel
   * does. `ignored`: nobody does, and the wall is that kernel, confined by a filter of its own.
   */
  seccomp: 'kernel' | 'inside' | 'ignored';
  /** Whether what is mounted beneath a bind after the start arrives in the sandbox. */
  propagation: boolean;
  /** Whether it keeps nosuid and nodev on a volume that the engine mounted with them. */
  keepsVolumeFlags: boolean;
  /** Said in `doctor` and in docs/ISOLATION.md; empty where there is nothing to say. */
  remarks: readonly string[];
};

/** `arguments_`: what the engine starts it with, as the engine says it. */
export function runtimeFacts(name: string, arguments_: readonly string[] = []): RuntimeFacts {
  const family = familyOf(name);
  switch (family) {
    case 'runc':
      return { family, ...sharedKernel, keepsVolumeFlags: true, remarks: [] };
    case 'crun':
      return {
        family,
        ...sharedKernel,
        keepsVolumeFlags: false,
        remarks: [
          'a volume loses nosuid and nodev; no capability and no-new-privileges remain',
          'with cgroup v1 /sys/fs/cgroup itself can be written: 1 MiB, noexec, the sandbox’s own',
        ],
      };
    case 'gvisor': {
      const seccomp = arguments_.includes('--oci-seccomp') ? 'inside' : 'ignored';
      return { family, ...ownKernel, seccomp, remarks: gvisorRemarks(seccomp) };
    }
    case 'kata':
      return { family, ...ownKernel, seccomp: 'inside', remarks: ['sandboxes start cold'] };
    case 'unknown':
      // Nothing is known of it, so nothing is claimed.
      return {
        family,
        kernel: 'the host’s',
        seccomp: 'ignored',
        propagation: false,
        keepsVolumeFlags: false,
        remarks: ['an unknown runtime: nothing is claimed about it'],
      };
  }
}

const sharedKernel = { kernel: 'the host’s', seccomp: 'kernel', propagation: true } as const;
const ownKernel = { kernel: 'its own', propagation: false, keepsVolumeFlags: false } as const;

function gvisorRemarks(seccomp: RuntimeFacts['seccomp']): string[] {
  return [
    'sandboxes start cold: a mount made later does not arrive',
    'the limit of processes is counted outside, with gVisor’s own threads',
    ...(seccomp === 'ignored'
      ? ['seccomp: ignored by runsc; the wall is gVisor’s own kernel']
      : []),
  ];
}

function familyOf(name: string): RuntimeFacts['family'] {
  const [first = ''] = name.toLowerCase().split(/[-_.]/);
  if (first === 'runc' || first === 'crun') return first;
  if (first === 'runsc' || first === 'gvisor') return 'gvisor';
  if (first === 'kata') return 'kata';
  return name === 'io.containerd.runc.v2' ? 'runc' : 'unknown';
}

/**
 * What the cgroup's counter has to allow, so that a task may have `pids` processes. gVisor's own
 * threads are counted with the task's, and each thread of a task costs it two: with less, gVisor
 * itself cannot go on and the sandbox dies without a word.
 */
export function pidsLimitFor(runtime: string, pids: number): number {
  return familyOf(runtime) === 'gvisor' ? gvisorThreads + 2 * pids : pids;
}

const gvisorThreads = 256;
