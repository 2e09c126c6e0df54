import type { Digest } from '#contract/ids.ts';
import { assert } from '../base/assert.ts';
import { deepFreeze } from '../base/freeze.ts';
import { spellSpec } from './kept-spec.ts';
import type { SandboxSpec } from './spec.ts';

declare const minted: unique symbol;

/**
 * Leave to create exactly this sandbox. Only the office mints one; a copy is worth nothing. The spec
 * comes spelled and with the digest of that, since it is named in many records.
 */
export type Permit = {
  readonly spec: SandboxSpec;
  readonly spelled: string;
  readonly digest: Digest;
  readonly [minted]: true;
};

export type PermitOffice = {
  mint(spec: SandboxSpec): Permit;
  isGenuine(permit: Permit): boolean;
};

/**
 * One office for the life of the daemon. A type brand alone is kept by `{ ...permit }`, so the
 * permits handed out are remembered, and the spec is a frozen clone that nobody edits afterwards.
 */
export function openPermitOffice(): PermitOffice {
  const genuine = new WeakSet<object>();
  return {
    mint(spec) {
      const own = copyOf(spec);
      const permit = deepFreeze({ spec: own, ...spellSpec(own) }) as unknown as Permit;
      genuine.add(permit);
      return permit;
    },
    isGenuine: (permit) => genuine.has(permit),
  };
}

/** Of plain data; its strings are shared, since nobody can change them. */
function copyOf<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copyOf) as T;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, copyOf(inner)])) as T;
}

export function assertGenuine(office: PermitOffice, permit: Permit): void {
  assert(office.isGenuine(permit), 'a sandbox was asked for without a genuine permit');
}
