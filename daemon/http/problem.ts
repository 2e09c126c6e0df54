import { z } from 'zod';
import type { Problem } from '#contract/api.ts';
import { OrchestraError, type ErrorPlace } from '#contract/errors.ts';

export type Refusal = { problem: Problem; retry: boolean };

/**
 * RFC 9457. What is not an OrchestraError is our own bug: its text stays in the daemon's log and
 * the caller gets the request id to quote.
 */
export function refusalFor(error: unknown, requestId: string): Refusal {
  const known = asOrchestraError(error);
  const { status, exit, retry } = known.facts;
  return {
    retry,
    problem: {
      type: `urn:orchestra:error:${known.code}`,
      title: known.code,
      status,
      detail: known.message,
      instance: `urn:orchestra:request:${requestId}`,
      code: known.code,
      exit_code: exit,
      ...(known.hint === undefined ? {} : { hint: known.hint }),
      ...(known.places.length === 0 ? {} : { errors: known.places.map((place) => ({ ...place })) }),
    },
  };
}

export function asOrchestraError(error: unknown): OrchestraError {
  if (error instanceof OrchestraError) return error;
  if (error instanceof z.ZodError) {
    return new OrchestraError('request.invalid', 'The request does not fit its schema', {
      places: placesOf(error),
      cause: error,
    });
  }
  return new OrchestraError('internal.bug', 'The daemon failed in a way it does not know', {
    hint: "the daemon's log has the details under this request",
    cause: error,
  });
}

function placesOf(error: z.ZodError): ErrorPlace[] {
  return error.issues.slice(0, 32).map((issue) => ({
    pointer: issue.path.map((key) => `/${pointerPart(String(key))}`).join(''),
    message: issue.message.slice(0, 300),
  }));
}

// RFC 6901.
function pointerPart(key: string): string {
  return key.slice(0, 128).replaceAll('~', '~0').replaceAll('/', '~1');
}
