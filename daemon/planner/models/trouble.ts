import type { TroubleCode } from '#contract/planning.ts';

export type Usage = { inputTokens: number; outputTokens: number };

export class ModelTrouble extends Error {
  override readonly name = 'ModelTrouble';
  readonly code: TroubleCode;
  /** How long the provider wants to be left alone. */
  readonly retryAfterMs: number | undefined;
  /** What was used all the same, where the provider said so. */
  readonly usage: Usage | undefined;
  /** The question can be asked in another way, which is remembered. */
  readonly hasOtherWay: boolean;

  constructor(
    code: TroubleCode,
    message: string,
    more: {
      retryAfterMs?: number | undefined;
      usage?: Usage | undefined;
      hasOtherWay?: boolean;
    } = {},
  ) {
    super(message);
    this.code = code;
    this.retryAfterMs = more.retryAfterMs;
    this.usage = more.usage;
    this.hasOtherWay = more.hasOtherWay ?? false;
  }
}

/** What the SDKs throw, as far as both agree. */
type ApiErrorShape = {
  status?: unknown;
  type?: unknown;
  code?: unknown;
  errorCode?: unknown;
  headers?: unknown;
};

/** What an SDK threw → what it means for planning. Nothing of its text is kept. */
export function troubleOf(error: unknown): ModelTrouble {
  if (error instanceof ModelTrouble) return error;
  const inner = causeOf(error);
  if (inner !== undefined) return inner;
  const shape: ApiErrorShape = typeof error === 'object' && error !== null ? error : {};
  const { status } = shape;
  const words = [shape.type, shape.code, shape.errorCode].filter((one) => typeof one === 'string');
  const retryAfterMs = retryAfter(shape.headers);
  const trouble = (code: TroubleCode, message: string) =>
    new ModelTrouble(code, message, { retryAfterMs });
  if (typeof status !== 'number') {
    if (words.some((word) => overloadWords.test(word))) {
      return trouble('overloaded', 'it was overloaded in the middle of its answer');
    }
    return trouble('network', 'the connection failed or was cut');
  }
  if (status === 402 || words.some((word) => billingWords.test(word))) {
    return trouble('billing', `it wants to be paid (${status})`);
  }
  if (status === 401 || status === 403) return trouble('auth', `the key is not taken (${status})`);
  if (status === 429) return trouble('rate_limit', 'too many questions for now (429)');
  if (status === 408) return trouble('timeout', 'it gave up waiting (408)');
  if (status === 413) return trouble('config', 'the question is too long for it (413)');
  if (status >= 500) return trouble('overloaded', `it is out of order (${status})`);
  return trouble('config', `it does not take the question (${status})`);
}

const overloadWords = /overloaded|server_error|api_error|internal_error|timeout_error/;
const billingWords = /billing|insufficient_quota|spend_limit|credit|quota_exceeded|payment/;

// A request that our own guard refused or cut comes wrapped in the SDK's word for a connection.
function causeOf(error: unknown): ModelTrouble | undefined {
  let next = error;
  for (let depth = 0; depth < 8 && next instanceof Error; depth += 1) {
    if (next instanceof ModelTrouble) return next;
    next = next.cause;
  }
  return undefined;
}

function retryAfter(headers: unknown): number | undefined {
  if (!(headers instanceof Headers)) return undefined;
  const ms = Number(headers.get('retry-after-ms') ?? Number.NaN);
  if (ms > 0) return ms;
  const text = headers.get('retry-after');
  if (text === null) return undefined;
  const seconds = Number(text);
  if (Number.isFinite(seconds)) return seconds > 0 ? seconds * 1000 : undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}
