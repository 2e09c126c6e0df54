import type { EffectivePolicy } from './effective.ts';
import type { SeccompProfile } from './seccomp.ts';
import type { SandboxSpec } from './spec.ts';

/** What this machine has to lock a sandbox in with, found once at start. */
export type Walls = {
  /** Undefined where the engine has no seccomp: it would refuse a profile. */
  seccomp: SeccompProfile | undefined;
  /** The name of an AppArmor profile that is loaded, where the engine has AppArmor. */
  apparmor: string | undefined;
  /** The type of an SELinux label, where the engine has SELinux. */
  selinux: string | undefined;
};

/**
 * What of it a sandbox gets under a policy. `off` names no profile of ours, and leaves what the
 * engine does by itself. Whether enough is there is for the rules to say, not here.
 */
export function wallsUnder(
  { isolation }: Pick<EffectivePolicy, 'isolation'>,
  { seccomp, apparmor, selinux }: Walls,
): Pick<SandboxSpec, 'seccomp' | 'apparmor' | 'selinux'> {
  return {
    seccomp: seccomp === undefined ? { profile: 'builtin' } : { profile: 'custom', ...seccomp },
    apparmor: isolation.apparmor === 'off' ? undefined : apparmor,
    selinux: isolation.selinux === 'off' ? undefined : selinux,
  };
}
