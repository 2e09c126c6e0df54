import type { Rule } from './rule.ts';

/** Seccomp and AppArmor are there where they are required, and no profile lets everything through. */
export const confinement: Rule = (spec, policy, facts) => {
  const reasons: string[] = [];
  const { isolation } = policy;
  if (isolation.seccomp === 'required' && !facts.engine.seccomp) {
    reasons.push('seccomp is required, and the engine has none');
  }
  const { seccomp } = spec;
  if (seccomp.profile !== 'builtin' && !refusesByDefault(seccomp.json)) {
    reasons.push('the seccomp profile does not refuse by default');
  }
  if (spec.apparmor === 'unconfined' || spec.apparmor === '') {
    reasons.push('an AppArmor profile that confines nothing');
  }
  if (isolation.apparmor === 'required') {
    if (!facts.engine.apparmor) reasons.push('AppArmor is required, and the engine has none');
    if (spec.apparmor === undefined) reasons.push('AppArmor is required, and no profile is named');
  }
  return reasons;
};

function refusesByDefault(json: string): boolean {
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
