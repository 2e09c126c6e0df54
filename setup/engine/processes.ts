import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

/**
 * The pid that a pid file names, if that process lives and was started with this pid file. A number
 * alone proves nothing after a reboot, and PID 1 may leave a dead child unreaped: both look alive.
 */
export function livePid(pidFile: string): number | undefined {
  const pid = Number(read(pidFile)?.trim());
  if (!Number.isSafeInteger(pid) || pid < 2) return undefined;
  if (isDead(pid)) return undefined;
  return (read(`/proc/${pid}/cmdline`) ?? '').split('\0').includes(pidFile) ? pid : undefined;
}

/** True when no process of that number runs; a zombie does not run. */
export function isDead(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return true;
  // The name in brackets may hold anything, so the state is what follows the last bracket.
  const state = stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3);
  return state === 'Z' || state === 'X' || state === '';
}

/** Every process in the cgroups below `parent` (as given to --cgroup-parent), in any hierarchy. */
export function pidsBelowCgroup(parent: string, root = '/sys/fs/cgroup'): number[] {
  const trees = [root, ...list(root).map((name) => path.join(root, name))];
  const pids = trees.flatMap((tree) =>
    list(path.join(tree, parent)).flatMap((name) =>
      (read(path.join(tree, parent, name, 'cgroup.procs')) ?? '')
        .split('\n')
        .map(Number)
        .filter((pid) => pid > 1),
    ),
  );
  return [...new Set(pids)];
}

/** The shims that a containerd started from `execDir`: they outlive it, and may outlive their container. */
export function shimsOf(execDir: string): number[] {
  return list('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      const [program = '', ...words] = (read(`/proc/${pid}/cmdline`) ?? '').split('\0');
      const isShim = path.basename(program).startsWith('containerd-shim');
      return isShim && words.some((word) => word.startsWith(`${execDir}/`));
    })
    .map(Number);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}
