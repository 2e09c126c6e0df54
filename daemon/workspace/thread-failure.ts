import { type ErrorCode, OrchestraError, type ErrorPlace } from '#contract/errors.ts';

/** An error in words that can travel from one thread to another. */
export type Failure = {
  kind: 'failed';
  code?: ErrorCode;
  message: string;
  hint?: string;
  places?: ErrorPlace[];
};

export function failureOf(cause: unknown): Failure {
  if (cause instanceof OrchestraError) {
    return {
      kind: 'failed',
      code: cause.code,
      message: cause.message,
      ...(cause.hint === undefined ? {} : { hint: cause.hint }),
      places: [...cause.places],
    };
  }
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return { kind: 'failed', code: 'disk.full', message: 'The state directory has no room left' };
  }
  return { kind: 'failed', message };
}

export function errorOf(failure: Failure): Error {
  if (failure.code === undefined) return new Error(failure.message);
  return new OrchestraError(failure.code, failure.message, {
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
    ...(failure.places === undefined ? {} : { places: failure.places }),
  });
}
