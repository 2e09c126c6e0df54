import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { SandboxSpec } from '#daemon/policy/spec.ts';

export const seccompFile = new URL('../../policies/seccomp.json', import.meta.url).pathname;

/** The profile that tasks run under. */
export function shippedSeccomp(): SandboxSpec['seccomp'] & { profile: 'custom' } {
  return seccompOf(readFileSync(seccompFile, 'utf8'));
}

export function seccompOf(json: string): SandboxSpec['seccomp'] & { profile: 'custom' } {
  return { profile: 'custom', json, digest: `sha256:${hash('sha256', json, 'hex')}` };
}
