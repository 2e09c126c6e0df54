import { Problem } from '#contract/api.ts';
import { errorTable, OrchestraError, type ErrorCode, type ErrorPlace } from '#contract/errors.ts';

/** Why the socket could not be used, as three different stories with three different cures. */
export function connectionError(cause: unknown, socketPath: string): OrchestraError {
  if (cause instanceof OrchestraError) return cause;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code;
  const story = stories[code ?? ''];
  const message = `Cannot reach orchestrad at unix://${socketPath}: ${
    story?.why ?? (cause instanceof Error ? cause.message : String(cause))
  }`;
  return new OrchestraError('daemon.unreachable', message, {
    hint: story?.cure ?? 'orchestra doctor',
    cause,
  });
}

const notStarted = {
  why: 'there is no such socket; the daemon is not installed or not started',
  cure: 'start it (orchestrad), or use --local for one command without it',
};
const noAccess = {
  why: 'the socket is there, but this user may not use it',
  cure: 'join the group of the socket (sudo usermod -aG orchestra USER), then log in again',
};
const stories: Readonly<Record<string, { why: string; cure: string }>> = {
  ENOENT: notStarted,
  ENOTDIR: notStarted,
  ECONNREFUSED: {
    why: 'a socket is there, but nobody listens; the daemon stopped without tidying up',
    cure: 'read what it said last, then start orchestrad again',
  },
  EACCES: noAccess,
  EPERM: noAccess,
  ECONNRESET: { why: 'the daemon closed the connection', cure: 'orchestra doctor' },
  EPIPE: { why: 'the daemon closed the connection', cure: 'orchestra doctor' },
};

/** The daemon's own error, as it was thrown there. */
export function errorFromProblem(status: number, text: string): OrchestraError {
  const parsed = Problem.safeParse(parseJson(text));
  if (!parsed.success) {
    return new OrchestraError(
      'daemon.unreachable',
      `What listens there answered ${status}, but not as orchestrad does: ${text.slice(0, 200)}`,
      { hint: 'check --host and ORCHESTRA_HOST' },
    );
  }
  const { code, detail, hint, errors, exit_code } = parsed.data;
  const known = Object.hasOwn(errorTable, code);
  return new OrchestraError(
    known ? (code as ErrorCode) : (nearest[exit_code] ?? 'internal.bug'),
    known ? detail : `${detail} (${code})`,
    {
      ...(hint === undefined ? {} : { hint }),
      ...(errors === undefined ? {} : { places: errors.map((place) => place as ErrorPlace) }),
    },
  );
}

// A newer daemon may know codes that this client does not: keep at least the exit code.
const nearest: Readonly<Record<number, ErrorCode>> = {
  1: 'request.invalid',
  2: 'engine.failed',
  4: 'policy.denied',
  5: 'daemon.unreachable',
  6: 'access.denied',
};

/** What an error looks like in JSON: RFC 9457 with our own fields. */
export function problemOf(error: OrchestraError): Problem {
  return {
    type: `urn:orchestra:error:${error.code}`,
    title: error.code,
    status: error.facts.status,
    detail: error.message,
    code: error.code,
    exit_code: error.facts.exit,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.places.length === 0 ? {} : { errors: [...error.places] }),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
