import { readFileSync } from 'node:fs';
import type { Stated } from '#daemon/policy/invariants/check.ts';
import { readPolicy } from '#daemon/policy/document.ts';
import { narrow } from '#daemon/policy/narrow.ts';

/** The document that ships as `default`, under another name and with more at its end. */
export function policyText(name: string, more = ''): string {
  const url = new URL('../../policies/default.yaml', import.meta.url);
  return `${readFileSync(url, 'utf8').replace('name: default', `name: ${name}`)}\n${more}`;
}

/** Documents as they stand together, the first one above all others. */
export function statedPolicies(...texts: readonly string[]): Stated[] {
  const read = texts.map((text, i) => {
    const { document, policy } = readPolicy(text, `${i}.yaml`);
    return { name: document.name, source: `${document.name}.yaml`, text, document, policy };
  });
  const [top] = read;
  return read.map((one) => ({
    ...one,
    applied: top === undefined || one === top ? one.policy : narrow(top.policy, one.policy).policy,
  }));
}
