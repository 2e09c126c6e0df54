import { OrchestraError } from '#contract/errors.ts';
import type { Permit } from '../policy/permit.ts';
import type { Attached } from '../engine/engine.ts';
import type { OutputMask } from '../secrets/output-mask.ts';
import type { SecretFile } from '../secrets/run-secrets.ts';

/**
 * Exactly the secrets that policy judged are given, no more and no fewer. `canGive` says whether the
 * sandbox has a way for them; without one the task is not started rather than started without them.
 */
export function assertGiven(
  { spec }: Permit,
  secrets: readonly SecretFile[],
  canGive: boolean,
): void {
  const given = secrets.map(({ name }) => name).toSorted();
  if (given.join() !== spec.secrets.toSorted().join()) {
    throw new OrchestraError('internal.bug', 'The secrets given are not those that were judged');
  }
  if (given.length > 0 && !canGive) {
    throw new OrchestraError('engine.failed', 'This engine has no way to give secrets to a task');
  }
}

/** The same sandbox with secrets masked in what it writes, before anything is counted or kept. */
export function withMask(attached: Attached, mask: OutputMask | undefined): Attached {
  return mask === undefined ? attached : { ...attached, output: mask.over(attached.output) };
}
