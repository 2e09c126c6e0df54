import { readFileSync } from 'node:fs';
import type { SandboxSpec } from '#daemon/policy/spec.ts';

export const seccompFile = new URL('../../policies/seccomp.json', import.meta.url).pathname;

/** The profile that tasks run under. */
export function shippedSeccomp(): SandboxSpec['seccomp'] & { profile: 'custom' } {
  return { profile: 'custom', json: readFileSync(seccompFile, 'utf8') };
}
