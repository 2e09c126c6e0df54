import { readFile } from 'node:fs/promises';

/**
 * The few calls of Linux that Node has no words for, on this very machine. Undefined where they
 * cannot be had (no libc of that name, another system): then the engine alone is asked.
 */
export type Kernel = {
  /** A named pipe; nothing where there is one already. */
  makePipe(path: string): void;
  /** overlayfs(5) at `target`, with `nosuid` and `nodev`. Throws with the kernel's error. */
  mountOverlay(target: string, options: string): void;
  /**
   * Takes away whatever is mounted on top of `target`; false where nothing is. Beside the event
   * loop: the kernel waits for all its processors, some milliseconds.
   */
  unmount(target: string): Promise<boolean>;
  /** A handle on a process that cannot come to mean another one; undefined when it is gone. */
  openProcess(pid: number): ProcessHandle | undefined;
};

export type ProcessHandle = {
  /** The wait status once the process is dead and was reaped, undefined until then. */
  exitStatus(): number | undefined;
  close(): void;
};

const MS_NOSUID = 2;
const MS_NODEV = 4;
const MNT_DETACH = 2;
const EEXIST = 17;
const UMOUNT_NOFOLLOW = 8;

// The same numbers on x86_64 and arm64: both came after the tables were joined.
const SYS_pidfd_open = 434;
// _IOWR(0xFF, 11, struct pidfd_info), include/uapi/linux/pidfd.h, since Linux 6.13; the exit
// status since 6.15.
const PIDFD_GET_INFO = 0xc040ff0bn;
const PIDFD_INFO_EXIT = 8n;
const infoBytes = 64;
const exitCodeAt = 60;

type Call = (...args: unknown[]) => number;

export async function openKernel(): Promise<Kernel | undefined> {
  try {
    const { default: koffi } = await import('koffi');
    const libc = koffi.load('libc.so.6');
    const mount: Call = libc.func(
      'int mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data)',
    );
    const mkfifo: Call = libc.func('int mkfifo(const char *path, uint32_t mode)');
    const umount2 = libc.func('int umount2(const char *target, int flags)');
    const syscall: Call = libc.func('long syscall(long number, int pid, unsigned int flags)');
    const ioctl: Call = libc.func(
      'int ioctl(int fd, unsigned long request, _Inout_ uint8_t *info)',
    );
    const close: Call = libc.func('int close(int fd)');
    const fail = (what: string) => {
      throw Object.assign(new Error(`${what}: errno ${koffi.errno()}`), { errno: koffi.errno() });
    };
    return {
      mountOverlay(target, options) {
        const flags = MS_NOSUID | MS_NODEV;
        if (mount('overlay', target, 'overlay', flags, options) !== 0) fail('mount of an overlay');
      },
      makePipe(path) {
        if (mkfifo(path, 0o606) !== 0 && koffi.errno() !== EEXIST) fail('making a pipe');
      },
      async unmount(target) {
        const { promise, resolve, reject } = Promise.withResolvers<number>();
        umount2.async(target, MNT_DETACH | UMOUNT_NOFOLLOW, (error: unknown, result: number) =>
          error === null || error === undefined ? resolve(result) : reject(error),
        );
        // Only that nothing is mounted there is expected to fail, and it may be asked for often.
        return (await promise) === 0;
      },
      openProcess(pid) {
        const fd = syscall(SYS_pidfd_open, pid, 0);
        if (fd < 0) return undefined;
        let isOpen = true;
        return {
          exitStatus() {
            const info = new Uint8Array(infoBytes);
            const view = new DataView(info.buffer);
            view.setBigUint64(0, PIDFD_INFO_EXIT, true);
            if (!isOpen || ioctl(fd, PIDFD_GET_INFO, info) !== 0) return undefined;
            const isOver = (view.getBigUint64(0, true) & PIDFD_INFO_EXIT) !== 0n;
            return isOver ? view.getInt32(exitCodeAt, true) : undefined;
          },
          close() {
            if (isOpen) close(fd);
            isOpen = false;
          },
        };
      },
    };
  } catch {
    return undefined;
  }
}

/** The exit code as engines give it: 128 and the signal's number where a signal ended it. */
export function exitCodeOf(status: number): number {
  const signal = status & 0x7f;
  return signal === 0 ? (status >> 8) & 0xff : 128 + signal;
}

export type MountLine = {
  /** Where it is mounted, as that process sees it. */
  target: string;
  /** Flags of the mount, such as `rw,nosuid,nodev`. */
  flags: readonly string[];
  /** Peer groups: `shared:7`, `master:7`. */
  groups: readonly string[];
  type: string;
  /** Options of the file system, such as the directories of an overlay. */
  options: string;
};

/** proc_pid_mountinfo(5), in the order of mounting: of two with one target the later is on top. */
export async function mountsSeenBy(pid: number | 'self'): Promise<MountLine[]> {
  const text = await readFile(`/proc/${pid}/mountinfo`, 'utf8');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const words = line.split(' ');
      const end = words.indexOf('-');
      return {
        target: unescaped(words[4] ?? ''),
        flags: (words[5] ?? '').split(','),
        groups: words.slice(6, end),
        type: words[end + 1] ?? '',
        options: unescaped(words[end + 3] ?? ''),
      };
    });
}

function unescaped(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}
