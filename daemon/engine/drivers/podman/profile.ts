import { z } from 'zod';
import { parseJson } from './api.ts';

/**
 * Podman's own seccomp profile lets a task make user namespaces, where it is root and may mount:
 * Docker's does not, and neither may a sandbox. This takes away what Docker's denies to a container
 * without capabilities. Pure; undefined for a profile that this cannot be done to.
 */
export function tightenProfile(json: string): string | undefined {
  const profile = Profile.safeParse(parseJson(json));
  if (!profile.success) return undefined;
  const { syscalls, ...rest } = profile.data;
  const kept = syscalls
    .map((rule) => ({ ...rule, names: rule.names.filter((name) => !replaced.includes(name)) }))
    .filter(({ names }) => names.length > 0);
  return JSON.stringify({ ...rest, syscalls: [...kept, ...instead] });
}

type Rule = { names: readonly string[]; action: string; args: readonly unknown[] };

/**
 * Whether rules that the runtime was given let none of it through. Looks at the rules themselves,
 * not at where they came from.
 */
export function isTight(rules: readonly Rule[]): boolean {
  return rules
    .filter(({ action }) => !/^SCMP_ACT_(?:ERRNO|KILL|TRAP)/.test(action))
    .every(({ names, args }) =>
      names.every((name) => {
        const condition = Object.hasOwn(conditions, name) ? conditions[name] : undefined;
        return condition === undefined
          ? !denied.includes(name)
          : args.length === 1 && Object.entries(condition).every(holdsIn(args[0]));
      }),
    );
}

function holdsIn(arg: unknown) {
  return ([key, value]: [string, unknown]) =>
    ((arg as Record<string, unknown> | null)?.[key] ?? 0) === value;
}

/** Denied to a container without capabilities by Docker, but not by Podman (4.3.1). */
const denied = [
  // As if the kernel were too old for it: its flags lie in memory, where a filter cannot look.
  'clone3',
  'fsconfig',
  'fsmount',
  'fsopen',
  'fspick',
  'keyctl',
  'mount',
  'mount_setattr',
  'move_mount',
  'open_tree',
  'pidfd_getfd',
  'pivot_root',
  'reboot',
  'setns',
  'syslog',
  'umount',
  'umount2',
  'unshare',
];

/** CLONE_NEWCGROUP, NEWIPC, NEWNET, NEWNS, NEWPID, NEWUSER and NEWUTS. */
const namespaceFlags = 0x7e_02_00_00;
/** Sockets to the hypervisor: no network namespace holds them. */
const afVsock = 40;

// `value` is the mask and `valueTwo` what has to be left of it.
const conditions: Readonly<Record<string, Readonly<Record<string, number | string>>>> = {
  clone: { index: 0, value: namespaceFlags, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' },
  socket: { index: 0, value: afVsock, valueTwo: 0, op: 'SCMP_CMP_NE' },
};

const replaced = [...denied, ...Object.keys(conditions)];

const enosys = 38;
const instead = [
  { names: denied.slice(1), action: 'SCMP_ACT_ERRNO', errnoRet: 1 },
  { names: denied.slice(0, 1), action: 'SCMP_ACT_ERRNO', errnoRet: enosys },
  ...Object.entries(conditions).map(([name, arg]) => ({
    names: [name],
    action: 'SCMP_ACT_ALLOW',
    args: [arg],
  })),
];

const Profile = z.looseObject({
  defaultAction: z.string().regex(/^SCMP_ACT_(?:ERRNO|KILL.*|TRAP)$/),
  syscalls: z.array(z.looseObject({ names: z.array(z.string()), action: z.string() })),
});
