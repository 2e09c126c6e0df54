import { readFileSync } from 'node:fs';
import type { Digest } from '#contract/ids.ts';
import { parsePolicy } from '#daemon/policy/document.ts';
import { effectivePolicy, type EffectivePolicy } from '#daemon/policy/effective.ts';

export const testImageId: Digest = `sha256:${'1'.repeat(64)}`;
export const testImage = { reference: 'node:20-alpine', id: testImageId };
export const testImageTools = ['node', 'npm', 'npx', 'sh', 'ls', 'cat'];

/** One of the documents that ship, as it is in force alone. */
export function shippedPolicy(name: 'default' | 'strict' | 'ci'): EffectivePolicy {
  const url = new URL(`../../policies/${name}.yaml`, import.meta.url);
  return effectivePolicy(parsePolicy(readFileSync(url, 'utf8'), `${name}.yaml`));
}
