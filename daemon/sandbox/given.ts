import { OrchestraError } from '#contract/errors.ts';
import type { Permit } from '../policy/permit.ts';
import type { SecretFile } from '../secrets/run-secrets.ts';

/** Exactly the secrets that policy judged are given, no more and no fewer. */
export function assertGiven({ spec }: Permit, secrets: readonly SecretFile[]): void {
  const given = secrets.map(({ name }) => name).toSorted();
  if (given.join() !== spec.secrets.toSorted().join()) {
    throw new OrchestraError('internal.bug', 'The secrets given are not those that were judged');
  }
}
