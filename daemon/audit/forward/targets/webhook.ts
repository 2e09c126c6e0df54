import { createHmac, hash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { Agent as PlainAgent, request as requestPlain, type IncomingMessage } from 'node:http';
import { Agent, request as requestTls } from 'node:https';
import { Refusal, type Batch, type Target } from '../target.ts';
import type { TlsFiles } from './stream.ts';

export type WebhookOptions = {
  url: URL;
  contentType: string;
  origin: string;
  timeoutMs: number;
  now: () => number;
  tls: TlsFiles;
  secretFile?: string | undefined;
  tokenFile?: string | undefined;
};

const answerBytesMax = 64 * 1024;
const secretBytesMax = 4096;

/**
 * POSTs a batch, a line a record. 2xx is the receipt; everything else, a redirection too, is a no.
 * The same batch comes again under the same `idempotency-key`. With a secret the request is signed
 * as Standard Webhooks has it: HMAC-SHA256 over `id.timestamp.body`.
 */
export class WebhookTarget implements Target {
  readonly #options: WebhookOptions;
  #agent: Agent | undefined;

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  async send(batch: Batch, signal: AbortSignal): Promise<void> {
    const { url, timeoutMs } = this.#options;
    const body = Buffer.from(batch.texts.map((text) => `${text}\n`).join(''));
    const headers = await this.#headers(batch, body);
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const agent = (this.#agent ??= await this.#newAgent());
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const call = (url.protocol === 'https:' ? requestTls : requestPlain)(url, {
      method: 'POST',
      agent,
      headers,
      signal: deadline,
    });
    call.on('response', resolve);
    call.on('error', (error) => reject(isLate(deadline) ? new Error('no answer in time') : error));
    call.end(body);
    try {
      const answer = await promise;
      await readAway(answer);
      judge(answer, this.#options.now());
    } catch (error) {
      call.destroy();
      // A certificate or an authority may be another one next time.
      await this.close();
      throw error;
    }
  }

  close(): Promise<void> {
    this.#agent?.destroy();
    this.#agent = undefined;
    return Promise.resolve();
  }

  async #headers({ from, to, texts }: Batch, body: Buffer): Promise<Record<string, string>> {
    const { contentType, origin, now, secretFile, tokenFile } = this.#options;
    const log = origin.replace(/[^!-~]/g, '_').slice(0, 256);
    const id = `${log}:${from}-${to}:${hash('sha256', body, 'hex').slice(0, 16)}`;
    const headers: Record<string, string> = {
      'content-type': contentType,
      'content-length': `${body.length}`,
      'user-agent': 'orchestra',
      'idempotency-key': `"${id.replaceAll(/["\\]/g, '_')}"`,
      'orchestra-log': log,
      'orchestra-records': `${from}-${to};count=${texts.length}`,
    };
    if (tokenFile !== undefined) {
      headers['authorization'] = `Bearer ${(await readSecret(tokenFile)).toString('latin1')}`;
    }
    if (secretFile !== undefined) {
      const timestamp = `${Math.floor(now() / 1000)}`;
      const hmac = createHmac('sha256', keyOf(await readSecret(secretFile)));
      hmac.update(`${id}.${timestamp}.`).update(body);
      headers['webhook-id'] = id;
      headers['webhook-timestamp'] = timestamp;
      headers['webhook-signature'] = `v1,${hmac.digest('base64')}`;
    }
    return headers;
  }

  async #newAgent(): Promise<Agent> {
    const { url, tls } = this.#options;
    const common = { keepAlive: true, maxSockets: 1 };
    if (url.protocol === 'http:') return new PlainAgent(common) as Agent;
    const read = (file: string | undefined) => file && readFile(file);
    const [ca, cert, key] = await Promise.all([read(tls.ca), read(tls.cert), read(tls.key)]);
    return new Agent({
      ...common,
      minVersion: 'TLSv1.2',
      // Whatever the environment says.
      rejectUnauthorized: true,
      ...(ca ? { ca } : {}),
      ...(cert && key ? { cert, key } : {}),
    });
  }
}

function isLate(deadline: AbortSignal): boolean {
  return (deadline.reason as Error | undefined)?.name === 'TimeoutError';
}

async function readAway(answer: IncomingMessage): Promise<void> {
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error('the answer has no end');
  }
}

function judge({ statusCode = 0, headers }: IncomingMessage, now: number): void {
  if (statusCode >= 200 && statusCode < 300) return;
  throw new Refusal(`the receiver answered ${statusCode}`, {
    isTooLarge: statusCode === 413,
    retryAfterMs: retryAfter(headers['retry-after'], now),
  });
}

/** Seconds, or a date. */
function retryAfter(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

/** Read anew each time, so that it can be changed while the daemon runs. */
async function readSecret(path: string): Promise<Buffer> {
  await using file = await open(path, 'r');
  const { mode, size } = await file.stat();
  if ((mode & 0o007) !== 0) throw new Error(`${path} can be read by everybody`);
  if (size > secretBytesMax) throw new Error(`${path} is too long`);
  const text = (await file.readFile()).toString('latin1').replace(/\r?\n$/, '');
  if (text === '') throw new Error(`${path} is empty`);
  return Buffer.from(text, 'latin1');
}

/** `whsec_` and base64, as Standard Webhooks spells a secret, or the bytes as they are. */
function keyOf(secret: Buffer): Buffer {
  const coded = /^whsec_([A-Za-z0-9+/=]+)$/.exec(secret.toString('latin1'))?.[1];
  return coded === undefined ? secret : Buffer.from(coded, 'base64');
}
