/** A way out of a container that is known of a program which makes them. */
export type Escape = {
  cve: string;
  program: 'runc' | 'crun' | 'containerd' | 'docker' | 'podman';
  /** The first good version of each line of releases. */
  fixed: readonly string[];
  /** Packages of Debian that carry the fix under an older number. */
  debian?: readonly string[];
  what: string;
  /**
   * Undefined: whoever runs such a version here can be broken out of, so the daemon does not start.
   * Otherwise why nobody can in the way sandboxes are made; what would change that is in
   * docs/decisions/0008.
   */
  unreached?: string;
};

const pinnedImage = 'needs an image made for it; images are pinned, and named by the operator';
const noSharedMount =
  'needs a mount that hostile code writes to while a container is set up on it; no two sandboxes share one';
const noArchive =
  'needs copying into or out of a container by the engine, which is never asked for';

/**
 * What concerns creating and running a container as it is done here. Not listed: checkpoints and
 * restoring, builds, Kubernetes, Compose, plug-ins for authorisation, networks, denial of service.
 */
export const escapes: readonly Escape[] = [
  {
    cve: 'CVE-2019-5736',
    program: 'runc',
    fixed: ['1.0.0-rc7'],
    what: 'a container can overwrite the runtime on the host',
  },
  {
    cve: 'CVE-2019-19921',
    program: 'runc',
    fixed: ['1.0.0-rc10'],
    what: 'mounts of a container can be led elsewhere over a shared volume',
  },
  {
    cve: 'CVE-2021-30465',
    program: 'runc',
    fixed: ['1.0.0-rc95'],
    what: 'a mount can be led to the host by exchanging a link',
  },
  {
    cve: 'CVE-2023-27561',
    program: 'runc',
    fixed: ['1.1.5'],
    what: 'mounts of a container can be led elsewhere over a shared volume, again',
  },
  {
    cve: 'CVE-2024-21626',
    program: 'runc',
    fixed: ['1.1.12'],
    debian: ['1.0.0~rc93+ds1-5+deb11u3', '1.1.5+ds1-1+deb12u1'],
    what: 'a working directory behind a link can be a directory of the host',
  },
  {
    cve: 'CVE-2024-45310',
    program: 'runc',
    fixed: ['1.1.14', '1.2.0-rc.3'],
    what: 'empty files can be made on the host',
    unreached: noSharedMount,
  },
  {
    cve: 'CVE-2025-31133',
    program: 'runc',
    fixed: ['1.2.8', '1.3.3', '1.4.0-rc.3'],
    what: 'masked files of /proc can be exchanged for files of the host',
    unreached: noSharedMount,
  },
  {
    cve: 'CVE-2025-52565',
    program: 'runc',
    fixed: ['1.2.8', '1.3.3', '1.4.0-rc.3'],
    what: '/dev/console can be exchanged before it is protected',
    unreached: 'needs a terminal, which no sandbox has',
  },
  {
    cve: 'CVE-2025-52881',
    program: 'runc',
    fixed: ['1.2.8', '1.3.3', '1.4.0-rc.3'],
    what: 'what the runtime writes to /proc can be led elsewhere',
    unreached: noSharedMount,
  },
  {
    cve: 'CVE-2026-41579',
    program: 'runc',
    fixed: ['1.3.6', '1.4.3', '1.5.0-rc.3'],
    what: 'an image whose /dev is a link writes to the host',
    unreached: pinnedImage,
  },
  {
    cve: 'CVE-2019-18837',
    program: 'crun',
    fixed: ['0.10.5'],
    what: 'an image with a link at a mount’s target reaches files of the host',
  },
  {
    cve: 'CVE-2026-88264',
    program: 'crun',
    fixed: ['1.30'],
    what: 'an image whose /dev/console is a link makes a file on the host',
    unreached: pinnedImage,
  },
  {
    cve: 'CVE-2026-88265',
    program: 'crun',
    fixed: ['1.30'],
    what: 'an image whose /dev/null is a link gets a file of the host to write to',
    unreached: pinnedImage,
  },
  {
    cve: 'CVE-2026-115521',
    program: 'crun',
    fixed: ['1.31'],
    what: 'an image can keep its root writable',
    unreached: pinnedImage,
  },
  {
    cve: 'CVE-2020-15257',
    program: 'containerd',
    fixed: ['1.3.9', '1.4.3'],
    what: 'a container in the host’s network reaches the socket that starts containers',
    unreached: 'needs the host’s network, which no sandbox has',
  },
  {
    cve: 'CVE-2024-40635',
    program: 'containerd',
    fixed: ['1.6.38', '1.7.27', '2.0.4'],
    debian: ['1.6.20~ds1-1+deb12u2'],
    what: 'a user number too large makes a container run as root',
    unreached: 'users are numbers below 65535, written out',
  },
  {
    cve: 'CVE-2026-41567',
    program: 'docker',
    fixed: ['29.5.1'],
    what: 'copying to a container runs a program of the container on the host',
    unreached: noArchive,
  },
  {
    cve: 'CVE-2026-55686',
    program: 'podman',
    fixed: ['5.7.1'],
    what: 'an image whose working directory is a link makes a directory on the host',
    unreached: pinnedImage,
  },
  {
    cve: 'CVE-2026-94603',
    program: 'podman',
    fixed: ['6.1.3'],
    what: 'an image made as a checkpoint switches the sandbox off',
    unreached: `${pinnedImage}, and what the runtime was given is compared before the start`,
  },
  {
    cve: 'CVE-2026-123876',
    program: 'podman',
    fixed: ['6.2.0'],
    what: 'its own seccomp profile lets denied sockets through',
    unreached: 'its own seccomp profile is not used',
  },
];
