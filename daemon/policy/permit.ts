import { assert } from '../base/assert.ts';
import { deepFreeze } from '../base/freeze.ts';
import type { SandboxSpec } from './spec.ts';

declare const minted: unique symbol;

/** Leave to create exactly this sandbox. Only `mintPermit` makes one; a copy is worth nothing. */
export type Permit = { readonly spec: SandboxSpec; readonly [minted]: true };

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
      const permit = deepFreeze({ spec: structuredClone(spec) }) as unknown as Permit;
      genuine.add(permit);
      return permit;
    },
    isGenuine: (permit) => genuine.has(permit),
  };
}

export function assertGenuine(office: PermitOffice, permit: Permit): void {
  assert(office.isGenuine(permit), 'a sandbox was asked for without a genuine permit');
}
