import { Problem } from '#contract/api.ts';
import { errorTable, OrchestraError, type ErrorCode, type ErrorPlace } from '#contract/errors.ts';

/** Why a daemon could not be reached, each as a story of its own with its own cure. */
export function connectionError(cause: unknown, address: string): OrchestraError {
  if (cause instanceof OrchestraError) return cause;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? '';
  const story = address.startsWith('unix://') ? stories[code] : networkStory(code, address);
  const message = `Cannot reach orchestrad at ${address}: ${
    story?.why ?? (cause instanceof Error ? cause.message : String(cause))
  }`;
  return new OrchestraError('daemon.unreachable', message, {
    hint: story?.cure ?? 'orchestra doctor',
    cause,
  });
}

type Story = { why: string; cure: string };

const notStarted = {
  why: 'there is no such socket; the daemon is not installed or not started',
  cure: 'start it (orchestrad), or use --local for one command without it',
};
const noAccess = {
  why: 'the socket is there, but this user may not use it',
  cure: 'join the group of the socket (sudo usermod -aG orchestra USER), then log in again',
};
const stories: Readonly<Record<string, Story>> = {
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

/** Certificates have two dozen codes of Node's; these are the questions behind them. */
function networkStory(code: string, address: string): Story | undefined {
  const { hostname = '' } = URL.parse(address) ?? {};
  if (code === 'ECONNREFUSED') {
    return {
      why: 'nothing listens there',
      cure: 'check the port; TCP is off unless "listen" of orchestrad says otherwise',
    };
  }
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    return {
      why: `there is no machine of the name ${hostname}`,
      cure: 'check --host and ORCHESTRA_HOST',
    };
  }
  if (['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'].includes(code)) {
    return {
      why: 'the machine does not answer',
      cure: 'check the network, and the firewall in front of it',
    };
  }
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID') {
    return {
      why: 'its certificate is not valid today',
      cure: 'its operator renews it; check the clock of this machine too',
    };
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return {
      why: `its certificate is not for ${hostname}`,
      cure: 'use the name that the certificate has',
    };
  }
  if (/SELF_SIGNED|UNABLE_TO|CERT_|UNTRUSTED/.test(code)) {
    return {
      why: 'its certificate is signed by nobody whom this machine trusts',
      cure: 'get the certificate of its CA from the operator: ORCHESTRA_CA_FILE=FILE',
    };
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    return code.includes('CERTIFICATE_REQUIRED') || code.includes('HANDSHAKE_FAILURE')
      ? {
          why: 'it wants a certificate of yours',
          cure: 'set ORCHESTRA_CLIENT_CERT_FILE and ORCHESTRA_CLIENT_KEY_FILE',
        }
      : {
          why: 'what listens there does not speak TLS',
          cure: 'check the port; on this machine it may be http://',
        };
  }
  if (code === 'ECONNRESET' || code === 'EPIPE') {
    const isPlain = address.startsWith('http:');
    return {
      why: 'the connection was closed',
      cure: isPlain ? `try https:${address.slice('http:'.length)}` : 'orchestra doctor',
    };
  }
  return undefined;
}

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
