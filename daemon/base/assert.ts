import { OrchestraError } from '#contract/errors.ts';

/** A broken promise of our own: never caught, always a bug. */
export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new OrchestraError('internal.bug', what);
}
