import { OrchestraError, type ErrorCode } from '#contract/errors.ts';

type EngineError = Error & { statusCode?: number; json?: { message?: unknown }; code?: string };

/** Runs one call of the engine and turns its failure into ours. `what` completes "could not …". */
export async function asking<T>(what: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw engineError(what, cause);
  }
}

export function engineError(what: string, cause: unknown): OrchestraError {
  if (cause instanceof OrchestraError) return cause;
  const status = statusOf(cause);
  if (status === undefined) {
    return new OrchestraError('engine.unavailable', `The engine does not answer: ${what}`, {
      hint: 'orchestra doctor',
      cause,
    });
  }
  return new OrchestraError(codeOf(status, what), `The engine refused: ${what} (${status})`, {
    cause: new Error(messageOf(cause)),
  });
}

/** The HTTP status the engine answered with; undefined when there was no answer. */
export function statusOf(cause: unknown): number | undefined {
  return cause instanceof Error ? (cause as EngineError).statusCode : undefined;
}

function codeOf(status: number, what: string): ErrorCode {
  return status === 409 && what === 'create a sandbox' ? 'engine.conflict' : 'engine.failed';
}

// What the engine says can hold anything, such as a path of the host: it goes into the log as the
// cause, not into the message. Bounded, because it comes from outside.
function messageOf(cause: unknown): string {
  const said = (cause as EngineError).json?.message;
  const text = typeof said === 'string' ? said : (cause as Error).message;
  return text.slice(0, 1000).toWellFormed();
}

export async function missingIsUndefined<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}
