import { hash } from 'node:crypto';
import type { Digest } from '#contract/ids.ts';
import { canonicalJson } from '../base/canonical.ts';
import type { SandboxSpec } from './spec.ts';

/**
 * A spec as it is kept and named: all of it, except that the seccomp profile stands for itself by
 * its digest, and is kept once. The floor sees to it that the digest is that of the profile.
 */
export function spellSpec(spec: SandboxSpec): { spelled: string; digest: Digest } {
  const { seccomp } = spec;
  const kept = seccomp.profile === 'builtin' ? seccomp : { ...seccomp, json: undefined };
  const spelled = canonicalJson({ ...spec, seccomp: kept });
  return { spelled, digest: `sha256:${hash('sha256', spelled, 'hex')}` };
}

/** Back from what was kept. `profileOf` throws where the profile is gone. */
export async function readSpec(
  spelled: string,
  profileOf: (digest: Digest) => Promise<string>,
): Promise<SandboxSpec> {
  const spec = JSON.parse(spelled) as SandboxSpec;
  const { seccomp } = spec;
  if (seccomp.profile === 'builtin') return spec;
  return { ...spec, seccomp: { ...seccomp, json: await profileOf(seccomp.digest) } };
}
