import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';

export type Runtime = { path: string; runtimeArgs?: string[] } | { runtimeType: string };

/** What the runtimes of this machine are found and asked with; the tests bring their own. */
export type Machine = {
  /** Where a program of that name lies; undefined when it is not installed. */
  find(program: string): string | undefined;
  /** What a program says to these arguments, whatever its exit code; empty when it cannot run. */
  ask(program: string, arguments_: readonly string[]): string;
  canOpen(file: string): boolean;
};

/**
 * The runtimes to register with Orchestra's own engine beside its built-in runc: those whose
 * programs are installed. Nothing is installed for them, and a machine without any still works.
 */
export function findRuntimes(machine: Machine): Record<string, Runtime> {
  const crun = machine.find('crun');
  const runsc = machine.find('runsc');
  return {
    ...(crun === undefined ? {} : { crun: { path: crun } }),
    ...(runsc === undefined ? {} : { runsc: gvisor(machine, runsc) }),
    ...kata(machine),
  };
}

/**
 * Loopback and nothing else, which is also the only mode that starts beside an engine without a
 * bridge. Newer versions trap system calls by `systrap`; those that lack it know `ptrace`, which is
 * slower. Never kvm: nested, it was seen to spin without ever starting. Not --oci-seccomp: version
 * 20221219 forgets which error a filter asks for, and no program with a thread starts any more.
 */
function gvisor(machine: Machine, program: string): Runtime {
  const flags = machine.ask(program, ['flags']);
  return {
    path: program,
    runtimeArgs: [
      `--platform=${flags.includes('systrap') ? 'systrap' : 'ptrace'}`,
      '--network=none',
    ],
  };
}

/** Kata is a shim of containerd: Docker can name one since version 23, and it needs a hypervisor. */
function kata(machine: Machine): Record<string, Runtime> {
  if (machine.find('containerd-shim-kata-v2') === undefined) return {};
  if (!machine.canOpen('/dev/kvm')) return {};
  const major = /\bversion (\d+)\./.exec(machine.ask('dockerd', ['--version']))?.[1];
  return Number(major) >= 23 ? { kata: { runtimeType: 'io.containerd.kata.v2' } } : {};
}

/** This machine, looked at along `systemPath`. */
export function thisMachine(systemPath: string): Machine {
  const can = (file: string, mode: number) => {
    try {
      accessSync(file, mode);
      return true;
    } catch {
      return false;
    }
  };
  return {
    find: (program) =>
      systemPath
        .split(':')
        .map((dir) => path.join(dir, program))
        .find((file) => can(file, constants.X_OK)),
    ask(program, arguments_) {
      // On which of the two streams help is printed differs from version to version.
      const said = spawnSync(program, arguments_, {
        encoding: 'utf8',
        env: { PATH: systemPath },
        timeout: 10_000,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      return `${said.stdout ?? ''}${said.stderr ?? ''}`;
    },
    canOpen: (file) => can(file, constants.R_OK | constants.W_OK),
  };
}
