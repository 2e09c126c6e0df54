import { quoted } from '../../base/schema-issues.ts';
import {
  gateTarget,
  homeTarget,
  isLayered,
  npmCacheTarget,
  secretsTarget,
  workspaceTarget,
  type Mount,
} from '../spec.ts';
import type { Rule } from './rule.ts';

const tmpfsTargets = ['/tmp', homeTarget, npmCacheTarget, secretsTarget];
const hostTargets = [workspaceTarget, npmCacheTarget];
const targetsOf: Readonly<Record<Mount['kind'], readonly string[]>> = {
  tmpfs: tmpfsTargets,
  bind: hostTargets,
  overlay: hostTargets,
  volume: hostTargets,
  door: [...hostTargets, gateTarget],
};

/** Mounts come from the daemon's own directories and go to places that are known. */
export const mounts: Rule = (spec, policy, facts) => {
  if (!Array.isArray(spec.mounts)) return ['the mounts are not a list'];
  const reasons: string[] = [];
  const seen = new Set<string>();
  for (const mount of spec.mounts) {
    const known = targetsOf[(mount as Mount).kind];
    if (!known.includes(mount.target)) {
      reasons.push(`a ${mount.kind} mount on ${quoted(mount.target)} is not known`);
    }
    if (seen.has(mount.target)) reasons.push(`two mounts on ${quoted(mount.target)}`);
    seen.add(mount.target);
    if (mount.kind === 'door' && spec.role !== 'slot') {
      reasons.push(`a door on ${quoted(mount.target)} in a sandbox that has its task`);
    }
    if ((isLayered(mount) || mount.kind === 'bind') && spec.role === 'slot') {
      reasons.push(`a ${mount.kind} on ${quoted(mount.target)} in a sandbox that waits`);
    }
    for (const source of sourcesOf(mount)) {
      if (!isUnder(source, facts.roots)) {
        reasons.push(`mount source ${quoted(source)} is not one of the daemon's directories`);
      }
    }
    if (mount.kind === 'bind' && !(mount.readonly as boolean)) {
      reasons.push(`the bind mount on ${quoted(mount.target)} can be written to`);
    }
    if (isLayered(mount) && mount.lower.length === 0) {
      reasons.push(`the ${mount.kind} on ${quoted(mount.target)} has nothing below it`);
    }
    if (
      mount.kind === 'tmpfs' &&
      // The rule for secrets knows its one size.
      mount.target !== secretsTarget &&
      !(mount.sizeBytes >= 1 && mount.sizeBytes <= policy.limits.tmpBytes)
    ) {
      reasons.push(`the tmpfs on ${quoted(mount.target)} is larger than the policy's tmp`);
    }
  }
  return reasons;
};

function sourcesOf(mount: Mount): readonly string[] {
  if (mount.kind === 'bind' || mount.kind === 'door') return [mount.source];
  return isLayered(mount) ? [...mount.lower, mount.upper, mount.work] : [];
}

// Strictly beneath a root, in the one spelling that has no way out; `:` and `,` separate the
// options of an overlay mount.
function isUnder(source: string, roots: readonly string[]): boolean {
  if (!/^(?:\/[^/\0:,\\\n]+)+$/.test(source)) return false;
  if (source.split('/').some((part) => part === '.' || part === '..')) return false;
  return roots.some((root) => root !== '/' && source.startsWith(`${root}/`));
}
