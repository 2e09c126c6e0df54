/**
 * Every way in which Orchestra says no: one table, one class.
 *
 * `status` is the HTTP answer, `exit` the code of the CLI, `retry` whether the same request may
 * succeed later without anybody changing anything. Behaviour is built on codes, never on messages.
 */
const table = {
  'usage.invalid': { status: 400, exit: 1, retry: false },
  'config.invalid': { status: 400, exit: 1, retry: false },
  'request.invalid': { status: 400, exit: 1, retry: false },
  'request.too_large': { status: 413, exit: 1, retry: false },
  'request.timeout': { status: 408, exit: 5, retry: true },
  'plan.invalid': { status: 422, exit: 1, retry: false },
  'plan.impossible': { status: 422, exit: 1, retry: false },
  'planner.unknown': { status: 404, exit: 1, retry: false },
  'planner.unavailable': { status: 502, exit: 2, retry: true },
  'policy.invalid': { status: 422, exit: 1, retry: false },
  'policy.unknown': { status: 404, exit: 1, retry: false },
  'policy.denied': { status: 403, exit: 4, retry: false },
  'access.denied': { status: 403, exit: 6, retry: false },
  'token.missing': { status: 401, exit: 5, retry: false },
  'token.invalid': { status: 401, exit: 5, retry: false },
  'token.expired': { status: 401, exit: 5, retry: false },
  'token.revoked': { status: 401, exit: 5, retry: false },
  'token.unknown': { status: 404, exit: 1, retry: false },
  'host.unknown': { status: 421, exit: 5, retry: false },
  'origin.denied': { status: 403, exit: 6, retry: false },
  'auth.needed': { status: 401, exit: 6, retry: true },
  'quota.exceeded': { status: 429, exit: 6, retry: false },
  'secret.unknown': { status: 404, exit: 1, retry: false },
  'secret.invalid': { status: 422, exit: 1, retry: false },
  'secret.exposed': { status: 409, exit: 1, retry: false },
  'secret.read_only': { status: 409, exit: 1, retry: false },
  'workspace.invalid': { status: 422, exit: 1, retry: false },
  'workspace.changed': { status: 409, exit: 1, retry: true },
  'workspace.too_large': { status: 413, exit: 1, retry: false },
  'workspace.conflict': { status: 409, exit: 2, retry: false },
  'snapshot.unknown': { status: 404, exit: 1, retry: false },
  'blob.unknown': { status: 404, exit: 1, retry: false },
  'blob.damaged': { status: 500, exit: 70, retry: false },
  'lockfile.invalid': { status: 422, exit: 1, retry: false },
  'package.unsupported': { status: 422, exit: 1, retry: false },
  'package.host_denied': { status: 403, exit: 4, retry: false },
  'package.integrity': { status: 502, exit: 4, retry: false },
  'package.unavailable': { status: 502, exit: 2, retry: true },
  'image.unknown': { status: 422, exit: 1, retry: false },
  'image.changed': { status: 403, exit: 4, retry: false },
  'runtime.vulnerable': { status: 503, exit: 4, retry: false },
  'engine.unavailable': { status: 503, exit: 5, retry: true },
  'engine.conflict': { status: 409, exit: 2, retry: false },
  'engine.not_connected': { status: 502, exit: 2, retry: false },
  'engine.failed': { status: 502, exit: 2, retry: true },
  'sandbox.mismatch': { status: 500, exit: 4, retry: false },
  'run.unknown': { status: 404, exit: 1, retry: false },
  'checkpoint.invalid': { status: 422, exit: 4, retry: false },
  'run.conflict': { status: 409, exit: 1, retry: false },
  'approval.missing': { status: 409, exit: 6, retry: false },
  'approval.stale': { status: 409, exit: 6, retry: false },
  'approval.denied': { status: 403, exit: 6, retry: false },
  'approval.expired': { status: 403, exit: 6, retry: false },
  'request.unknown': { status: 404, exit: 1, retry: false },
  'answer.invalid': { status: 422, exit: 1, retry: false },
  'task.unknown': { status: 404, exit: 1, retry: false },
  'tool.unknown': { status: 404, exit: 1, retry: false },
  'artifact.unknown': { status: 404, exit: 1, retry: false },
  'artifact.refused': { status: 422, exit: 4, retry: false },
  'record.unknown': { status: 404, exit: 1, retry: false },
  'audit.unavailable': { status: 503, exit: 5, retry: false },
  'audit.broken': { status: 500, exit: 4, retry: false },
  'audit.unanchored': { status: 503, exit: 5, retry: true },
  'audit.index_changed': { status: 500, exit: 4, retry: false },
  'audit.locked': { status: 409, exit: 1, retry: false },
  'audit.unsigned': { status: 503, exit: 5, retry: true },
  'audit.forked': { status: 500, exit: 4, retry: false },
  'audit.rolled_back': { status: 500, exit: 4, retry: false },
  'disk.low': { status: 507, exit: 5, retry: true },
  'provenance.broken': { status: 422, exit: 4, retry: false },
  'bundle.broken': { status: 422, exit: 4, retry: false },
  'data.unknown': { status: 404, exit: 1, retry: false },
  'data.held': { status: 409, exit: 6, retry: false },
  'data.erased': { status: 410, exit: 1, retry: false },
  'report.broken': { status: 422, exit: 4, retry: false },
  'disk.full': { status: 507, exit: 5, retry: true },
  'daemon.unreachable': { status: 503, exit: 5, retry: true },
  'daemon.busy': { status: 429, exit: 5, retry: true },
  'daemon.stopping': { status: 503, exit: 5, retry: true },
  'route.unknown': { status: 404, exit: 1, retry: false },
  'internal.bug': { status: 500, exit: 70, retry: false },
} as const satisfies Record<string, { status: number; exit: number; retry: boolean }>;

export type ErrorCode = keyof typeof table;
export type ErrorFacts = { status: number; exit: number; retry: boolean };
export const errorTable: Readonly<Record<ErrorCode, ErrorFacts>> = table;

/** A place in the input that caused the error: a JSON pointer, or line and column of a file. */
export type ErrorPlace = {
  pointer?: string;
  file?: string;
  line?: number;
  column?: number;
  message: string;
  hint?: string;
};

export type ErrorOptions = {
  /** What the reader can do next: a command or a change, one line. */
  hint?: string;
  places?: readonly ErrorPlace[];
  cause?: unknown;
};

export class OrchestraError extends Error {
  override readonly name = 'OrchestraError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly places: readonly ErrorPlace[];

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.places = options.places ?? [];
  }

  get facts(): ErrorFacts {
    return errorTable[this.code];
  }
}

/** Exit codes of the CLI that no error carries. The whole contract: `orchestra help exit-codes`. */
export const exitCodes = {
  ok: 0,
  config: 1,
  taskFailed: 2,
  timeout: 3,
  violation: 4,
  unreachable: 5,
  denied: 6,
  differs: 10,
  bug: 70,
  interrupted: 130,
  terminated: 143,
} as const;
