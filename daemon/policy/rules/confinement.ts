import type { SandboxSpec } from '../spec.ts';
import type { JudgeFacts, Rule } from './rule.ts';

/** What is required is there, and nothing that is named lets everything through. */
export const confinement: Rule = (spec, { isolation }, facts) => {
  const { engine } = facts;
  const { seccomp, apparmor, userns } = isolation;
  const required = (word: string, holds: boolean, reason: string) =>
    word === 'required' && !holds ? [reason] : [];
  return [
    ...required(seccomp, engine.seccomp, 'seccomp is required, and the engine has none'),
    ...required(
      seccomp,
      isFiltered(engine.runtimeFacts?.[spec.runtime]),
      `seccomp is required, and nobody knows what ${spec.runtime} does with a filter`,
    ),
    ...required(apparmor, engine.apparmor, 'AppArmor is required, and the engine has none'),
    ...required(
      apparmor,
      spec.apparmor !== undefined,
      'AppArmor is required, and no profile is named',
    ),
    // Where it is on, an engine labels every container by itself: no type has to be named.
    ...required(isolation.selinux, engine.selinux, 'SELinux is required, and the engine has none'),
    ...required(
      userns,
      engine.userns || engine.rootless,
      'user namespaces are required, and root in this engine’s containers is root of the machine',
    ),
    ...holes(spec, facts),
  ];
};

/** gVisor ignores the filter: its own kernel stands where the filter would (decision 0010). */
function isFiltered(runtime: { family: string; seccomp: string } | undefined): boolean {
  return runtime === undefined || runtime.seccomp !== 'ignored' || runtime.family === 'gvisor';
}

function holes({ seccomp, apparmor, selinux }: SandboxSpec, facts: JudgeFacts): string[] {
  const refuses = facts.refusesByDefault ?? refusesByDefault;
  const isOpen = seccomp.profile !== 'builtin' && !refuses(seccomp.json);
  return [
    ...(isOpen ? ['the seccomp profile does not refuse by default'] : []),
    ...(apparmor === 'unconfined' || apparmor === ''
      ? ['an AppArmor profile that confines nothing']
      : []),
    ...(selinux !== undefined && /^(?:unconfined|spc|container_runtime|$)/.test(selinux)
      ? ['an SELinux type that confines nothing']
      : []),
  ];
}

/** Of a seccomp profile, as JSON text. */
export function refusesByDefault(json: string): boolean {
  try {
    const profile: unknown = JSON.parse(json);
    if (typeof profile !== 'object' || profile === null) return false;
    const action = (profile as { defaultAction?: unknown }).defaultAction;
    return (
      typeof action === 'string' &&
      /^SCMP_ACT_(?:ERRNO|KILL|KILL_PROCESS|KILL_THREAD)$/.test(action)
    );
  } catch {
    return false;
  }
}
