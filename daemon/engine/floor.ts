import { hash } from 'node:crypto';
import { posix } from 'node:path';
import { limitNames } from '#contract/limits.ts';
import type { SeccompProfile } from '../policy/seccomp.ts';
import type { Mount, SandboxSpec } from '../policy/spec.ts';
import { overlayOptions } from './asked.ts';

/** The places on this host that decide which directories a sandbox may ever be shown. */
export type FloorFacts = {
  /** A mount's source lies strictly beneath one of these, such as the layers of the daemon. */
  roots: readonly string[];
  /** Never shown, nor anything that holds them: sockets, the log, keys, home directories. */
  secrets: readonly string[];
  /** Judges a seccomp profile; `seccompJudge` where many specs have the same. */
  judgeSeccomp?: (profile: SeccompProfile) => readonly string[];
};

/**
 * What no policy lifts: the reasons why this spec may never become a container, empty if none.
 *
 * Privilege, capabilities, devices, networks and host namespaces have no words in a spec at all;
 * the engine's translation is compared with what came back. Here stands what a spec *can* say.
 */
export function floorBreaches(spec: SandboxSpec, facts: FloorFacts): string[] {
  return [
    ...check(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,126}$/.test(spec.name), 'the name is malformed'),
    ...check(
      /^sha256:[0-9a-f]{64}$/.test(spec.image.id),
      'the image is not named by a sha256 digest',
    ),
    ...check(
      isId(spec.user.uid) && isId(spec.user.gid),
      'user and group are not numbers from 1 to 65534',
    ),
    ...check(/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$/.test(spec.runtime), 'the runtime is malformed'),
    ...check(
      spec.role === 'slot' ? spec.command.length === 0 : isCommand(spec.command),
      'the command is empty, too long, or holds a NUL byte',
    ),
    ...check(
      spec.role === 'slot' || (spec.command[0] !== '' && spec.command[0]?.includes('=') !== true),
      'the command names no program',
    ),
    ...check(isPlainPath(spec.cwd), 'the working directory is not an absolute, plain path'),
    ...envBreaches(spec),
    ...seccompBreaches(spec, facts),
    ...check(spec.apparmor !== 'unconfined', 'AppArmor is switched off'),
    ...check(
      spec.selinux === undefined || /^[a-z][a-z0-9_]{0,63}_t$/.test(spec.selinux),
      'the type of the SELinux label is malformed',
    ),
    ...limitNames
      .filter((name) => !isLimit(spec.limits[name]))
      .map((name) => `the limit ${name} is not a whole number above zero`),
    ...mountBreaches(spec, facts),
  ];
}

const check = (holds: boolean, reason: string) => (holds ? [] : [reason]);

const isId = (id: number) => Number.isInteger(id) && id >= 1 && id <= 65_534;
const isLimit = (value: number) => Number.isSafeInteger(value) && value > 0;
const isCommand = (command: readonly string[]) =>
  command.length > 0 && command.length <= 4096 && command.every(isText);
const isText = (text: string) => text.length <= 131_072 && !text.includes('\0');

function envBreaches({ env }: SandboxSpec): string[] {
  const entries = Object.entries(env);
  return [
    ...check(entries.length <= 512, 'more than 512 variables'),
    ...check(
      entries.every(
        ([name, value]) => /^[A-Za-z_][A-Za-z0-9_]{0,255}$/.test(name) && isText(value),
      ),
      'a variable is malformed',
    ),
  ];
}

function seccompBreaches({ seccomp }: SandboxSpec, { judgeSeccomp }: FloorFacts): string[] {
  return seccomp.profile === 'builtin' ? [] : [...(judgeSeccomp ?? profileBreaches)(seccomp)];
}

/** What is wrong with a profile, and remembers the last one: every sandbox has the same. */
export function seccompJudge(): (profile: SeccompProfile) => readonly string[] {
  let last: (SeccompProfile & { reasons: readonly string[] }) | undefined;
  return ({ json, digest }) => {
    if (last?.json !== json || last.digest !== digest) {
      last = { json, digest, reasons: profileBreaches({ json, digest }) };
    }
    return last.reasons;
  };
}

function profileBreaches({ json, digest }: SeccompProfile): string[] {
  // What is kept and told of a sandbox is the digest: it has to be that of what the engine gets.
  if (digest !== `sha256:${hash('sha256', json, 'hex')}`) {
    return ['the seccomp profile is not the one that its digest names'];
  }
  try {
    const profile: unknown = JSON.parse(json);
    const action = (profile as { defaultAction?: unknown } | null)?.defaultAction;
    // A profile that allows what it does not name is a list of what somebody thought of.
    return check(
      typeof action === 'string' && /^SCMP_ACT_(?:ERRNO|KILL.*|TRAP)$/.test(action),
      'the seccomp profile does not deny by default',
    );
  } catch {
    return ['the seccomp profile is not JSON'];
  }
}

function mountBreaches({ mounts, role }: SandboxSpec, facts: FloorFacts): string[] {
  const targets = mounts.map((mount) => mount.target);
  return [
    ...check(mounts.length <= 30, 'more than 30 mounts'),
    ...check(new Set(targets).size === targets.length, 'two mounts share a target'),
    ...targets.flatMap(targetBreaches),
    ...mounts.flatMap((mount) =>
      sourcesOf(mount).flatMap((source) => sourceBreaches(source, facts)),
    ),
    ...mounts.flatMap(kindBreaches),
    ...check(
      mounts.every(({ kind }) => kind === 'tmpfs' || (kind === 'door') === (role === 'slot')),
      'a sandbox that waits has layers, or one that has its task has doors',
    ),
  ];
}

function sourcesOf(mount: Mount): readonly string[] {
  switch (mount.kind) {
    case 'bind':
    case 'door':
      return [mount.source];
    case 'overlay':
    case 'volume':
      return [...mount.lower, mount.upper, mount.work];
    case 'tmpfs':
      return [];
  }
}

function kindBreaches(mount: Mount): string[] {
  switch (mount.kind) {
    case 'bind':
      return check(mount.readonly, 'a directory of the host is writable');
    case 'overlay':
      return [
        ...check(mount.lower.length > 0, 'an overlay has no lower layer'),
        // These two characters separate the layers and the options of an overlay.
        ...check(
          sourcesOf(mount).every((source) => !/[:,\\]/.test(source)),
          'an overlay path holds ":", "," or "\\"',
        ),
        // The kernel takes one page of options, and cuts off the rest without a word.
        ...check(
          Buffer.byteLength(overlayOptions(mount)) < 4096,
          'an overlay has more layers than the kernel takes',
        ),
      ];
    case 'volume':
      return check(mount.lower.length > 0, 'a volume has nothing to be filled with');
    case 'door':
      return [];
    case 'tmpfs':
      return check(isLimit(mount.sizeBytes), 'a tmpfs has no size');
  }
}

const targetsNever = ['/proc', '/sys', '/dev', '/etc', '/bin', '/sbin', '/lib', '/lib64', '/usr'];

function targetBreaches(target: string): string[] {
  return [
    ...check(
      isPlainPath(target) && target !== '/',
      'a mount target is not an absolute, plain path',
    ),
    ...check(
      target.length <= 512 && !targetsNever.some((never) => isWithin(target, never)),
      'a mount covers a directory of the system',
    ),
  ];
}

const systemSources = ['/proc', '/sys', '/dev', '/run', '/var/run'];

function sourceBreaches(source: string, { roots, secrets }: FloorFacts): string[] {
  if (!isPlainPath(source)) return ['a mount source is not an absolute, plain path'];
  return [
    ...check(
      roots.some((root) => source !== root && isWithin(source, root)),
      "a mount source lies outside the daemon's own directories",
    ),
    ...check(
      !systemSources.some((system) => isWithin(source, system)),
      'a mount source is a directory of the system',
    ),
    ...check(
      !secrets.some((secret) => isWithin(source, secret) || isWithin(secret, source)),
      'a mount source holds a socket, the log, keys or a home directory',
    ),
  ];
}

/** Absolute, no `..`, no `.`, no double or trailing slash, no NUL or line break. */
function isPlainPath(text: string): boolean {
  return (
    text.startsWith('/') &&
    text.length <= 4096 &&
    // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
    !/[\u0000-\u001f\u007f]/.test(text) &&
    (text === '/' || posix.resolve(text) === text)
  );
}

function isWithin(inner: string, outer: string): boolean {
  return inner === outer || outer === '/' || inner.startsWith(`${outer}/`);
}
