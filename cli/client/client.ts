import { on } from 'node:events';
import { Agent, request, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as TlsAgent, request as tlsRequest } from 'node:https';
import type { z } from 'zod';
import { endpoints, type Endpoint, type EndpointName } from '#contract/api.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { LogRecord } from '#contract/records.ts';
import { addressKey, spellAddress, type Address } from './address.ts';
import { connectionError, errorFromProblem } from './errors.ts';
import { linesOf } from './lines.ts';
import { Patience, type PatienceOptions } from './patience.ts';
import { ownerProof } from './owner-proof.ts';
import { pump } from './pump.ts';
import { eventsOf } from './sse.ts';

type Table = typeof endpoints;
type Named<K extends Endpoint['answer']> = {
  [N in EndpointName]: Table[N] extends { answer: K } ? N : never;
}[EndpointName];
type ResponseOf<N extends EndpointName> = Table[N] extends { response: infer S extends z.ZodType }
  ? z.infer<S>
  : unknown;
type BodyOf<N extends EndpointName> = Table[N] extends { body: infer S extends z.ZodType }
  ? z.input<S>
  : never;

export type CallOptions<N extends EndpointName> = {
  params?: Readonly<Record<string, string>>;
  query?: Readonly<Record<string, string | number | boolean | undefined>>;
  body?: BodyOf<N>;
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
};

const answerMs = 60_000;
const connectMs = 10_000;
const jsonBytesMax = 256 * 1024 * 1024;
const idleMs = 90_000;
const refusalMs = 200;

/** Speaks to one daemon by the endpoint table. Every failure is an OrchestraError. */
export class Client {
  readonly #address: Address;
  readonly #agent: Agent;
  /** Who calls, where the daemon cannot ask the kernel. */
  #proof: string | undefined;

  constructor(address: string | Address) {
    this.#address = typeof address === 'string' ? { kind: 'socket', path: address } : address;
    const usual = { keepAlive: true, maxSockets: 16 };
    this.#agent =
      this.#address.kind === 'network' && this.#address.tls
        ? new TlsAgent({ ...usual, minVersion: 'TLSv1.2', ...this.#address.trust })
        : new Agent(usual);
  }

  /** Under what this daemon is remembered. */
  get key(): string {
    return addressKey(this.#address);
  }

  /** As the user would write it. */
  get address(): string {
    return spellAddress(this.#address);
  }

  /** For what is done on the machine of the daemon only. */
  get socketPath(): string {
    if (this.#address.kind === 'socket') return this.#address.path;
    throw new OrchestraError('usage.invalid', 'This needs the socket of the daemon', {
      hint: 'run it on the machine of the daemon, with --host unix:///path or without',
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  /** One JSON answer. */
  async call<N extends Named<'json'>>(
    name: N,
    options: CallOptions<N> = {},
  ): Promise<ResponseOf<N>> {
    const response = await this.#send(name, options);
    return this.#parse(name, await this.#text(response, jsonBytesMax, options.timeoutMs));
  }

  /**
   * Sends a body that is not JSON; the answer is JSON. A block's memory may be used again once the
   * next but one is asked for.
   */
  async upload<N extends Named<'json'>>(
    name: N,
    body: AsyncIterable<Uint8Array>,
    options: Omit<CallOptions<N>, 'body'> = {},
  ): Promise<ResponseOf<N>> {
    const response = await this.#send(name, options, body);
    return this.#parse(name, await this.#text(response, jsonBytesMax, options.timeoutMs));
  }

  /** A body of its own type, as a stream. */
  async bytes<N extends Named<'bytes'>>(
    name: N,
    options: CallOptions<N> = {},
  ): Promise<IncomingMessage> {
    return this.#send(name, options);
  }

  /** A body of its own type, read whole, up to a limit. */
  async content<N extends Named<'bytes'>>(
    name: N,
    options: CallOptions<N> & { bytesMax: number },
  ): Promise<Buffer> {
    return readAll(await this.#send(name, options), options.bytesMax);
  }

  /** The objects of an NDJSON answer. */
  async *objects<N extends Named<'ndjson'>>(name: N, options: CallOptions<N> = {}): AsyncGenerator {
    yield* this.#objects(
      await this.#send(name, { timeoutMs: Number.POSITIVE_INFINITY, ...options }),
    );
  }

  async *#blocks(response: IncomingMessage): AsyncGenerator<Uint8Array> {
    try {
      // Nothing tells of an end that has been before anybody listened.
      if (response.destroyed) throw new Error('the daemon closed the connection');
      // As they come: an iterator of the stream would copy what has gathered into one.
      const blocks = on(response, 'data', { close: ['end'], highWaterMark: 8, lowWaterMark: 2 });
      for await (const [block] of blocks) yield block as Buffer;
    } catch (cause) {
      throw connectionError(cause, this.address);
    } finally {
      response.destroy();
    }
  }

  async *#objects(response: IncomingMessage): AsyncGenerator {
    try {
      for await (const line of linesOf(response)) if (line !== '') yield JSON.parse(line);
    } catch (cause) {
      throw connectionError(cause, this.address);
    }
  }

  /**
   * The blocks of an answer in the other type that its row names, or, from a daemon that does not
   * know it, the objects of the NDJSON that it answered instead.
   */
  async also<N extends Named<'ndjson'>>(
    name: N,
    options: CallOptions<N> = {},
  ): Promise<{ blocks: AsyncGenerator<Uint8Array> } | { objects: AsyncGenerator }> {
    const row: Endpoint = endpoints[name];
    const response = await this.#send(
      name,
      { timeoutMs: Number.POSITIVE_INFINITY, ...options },
      undefined,
      { accept: `${row.also}, ${accepts[row.answer]};q=0.5` },
    );
    return response.headers['content-type'] === row.also
      ? { blocks: this.#blocks(response) }
      : { objects: this.#objects(response) };
  }

  /**
   * Records of an event stream, in order, each once: when the connection breaks it is taken up
   * again after the last one seen. Ends after the record that `isLast` names, or, where there is
   * none, never by itself. Gives up when nothing answers for `patienceMs`, and at once where
   * nothing ever did, unless the daemon `wasThere` a moment ago.
   */
  async *events<N extends Named<'events'>>(
    name: N,
    options: CallOptions<N> & {
      isLast?: (record: LogRecord) => boolean;
      patienceMs?: number;
      /** Only what comes after this sequence number. */
      after?: number;
      wasThere?: boolean;
      onGap?: PatienceOptions['onGap'];
    },
  ): AsyncGenerator<LogRecord> {
    const patience = new Patience(options);
    const isLeft = () => options.signal?.aborted === true;
    let lastId = options.after?.toString();
    for (;;) {
      let ended: unknown;
      try {
        const response = await this.#send(
          name,
          options,
          undefined,
          lastId === undefined ? {} : { 'last-event-id': lastId },
        );
        response.setTimeout(idleMs, () => response.destroy());
        for await (const event of eventsOf(response)) {
          patience.answered();
          if (event.id !== undefined) lastId = event.id;
          const record = JSON.parse(event.data) as LogRecord;
          yield record;
          if (options.isLast?.(record) === true) return;
        }
        ended = new OrchestraError('daemon.unreachable', 'The daemon ends its events too early');
      } catch (cause) {
        ended = connectionError(cause, this.address);
      }
      if (isLeft()) return;
      if (lastId === undefined && options.wasThere !== true) throw ended;
      try {
        await patience.wait(ended);
      } catch (error) {
        if (isLeft()) return;
        throw error;
      }
    }
  }

  async #send<N extends EndpointName>(
    name: N,
    options: CallOptions<N>,
    upload?: AsyncIterable<Uint8Array>,
    more: Readonly<Record<string, string>> = {},
    proven = false,
  ): Promise<IncomingMessage> {
    const row: Endpoint = endpoints[name];
    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    const headers: Record<string, string> = {
      accept: accepts[row.answer],
      ...headersFor(this.#address),
      ...more,
    };
    if (upload !== undefined) headers['content-type'] = row.bodyType ?? 'application/octet-stream';
    if (body !== undefined) {
      headers['content-type'] = 'application/json';
      headers['content-length'] = String(Buffer.byteLength(body));
    }
    if (this.#proof !== undefined) headers['authorization'] = this.#proof;
    const exchange = async () => this.#exchange(row, options, headers, upload ?? body);
    const response = await exchange().catch(async (error: unknown) => {
      // A daemon that made room for the next one; who only reads may simply ask that one.
      if (row.changes || !wasBrokenOff(error)) throw error;
      return exchange();
    });
    if ((response.statusCode ?? 500) < 400) return response;
    const text = await this.#text(response, 1024 * 1024);
    const error = errorFromProblem(response.statusCode ?? 0, text);
    const isNew = headers['authorization'] === this.#proof;
    if (error.code !== 'auth.needed' || upload !== undefined || proven) throw error;
    // Another call may have shown a newer one meanwhile.
    if (isNew) this.#proof = await ownerProof(error, this.socketPath);
    return this.#send(name, options, upload, more, true);
  }

  async #exchange(
    row: Endpoint,
    options: CallOptions<EndpointName>,
    headers: Record<string, string>,
    body: string | AsyncIterable<Uint8Array> | undefined,
  ): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const address = this.#address;
    const isTls = address.kind === 'network' && address.tls;
    const way: RequestOptions =
      address.kind === 'socket'
        ? { socketPath: address.path }
        : { host: address.host, port: address.port };
    const outgoing = (isTls ? tlsRequest : request)({
      ...way,
      agent: this.#agent,
      method: row.method,
      path: fill(row.path, options.params ?? {}) + queryOf(options.query ?? {}),
      headers,
      signal: options.signal,
    });
    const streamed = typeof body === 'object';
    outgoing.on('response', resolve);
    outgoing.on('error', (cause) => {
      if (!streamed) reject(connectionError(cause, this.address));
    });
    const limitMs = streamed ? Number.POSITIVE_INFINITY : options.timeoutMs;
    const timer = deadline(limitMs ?? answerMs, () => outgoing.destroy(tooSlow()));
    const connecting = deadline(connectMs, () => outgoing.destroy(tooSlow()));
    outgoing.on('socket', (socket) => {
      if (socket.connecting)
        socket.once(isTls ? 'secureConnect' : 'connect', () => clearTimeout(connecting));
      else clearTimeout(connecting);
    });
    try {
      if (typeof body === 'object') {
        pump(body, outgoing).catch((cause: unknown) => {
          // A refused upload is answered before its end: the answer counts, not the broken pipe.
          setTimeout(() => reject(connectionError(cause, this.address)), refusalMs);
        });
      } else outgoing.end(body);
      return await promise;
    } finally {
      clearTimeout(timer);
      clearTimeout(connecting);
    }
  }

  async #text(response: IncomingMessage, bytesMax: number, timeoutMs = answerMs): Promise<string> {
    const timer = deadline(timeoutMs, () => response.destroy(tooSlow()));
    try {
      return (await readAll(response, bytesMax)).toString('utf8');
    } catch (cause) {
      throw connectionError(cause, this.address);
    } finally {
      clearTimeout(timer);
    }
  }

  #parse<N extends EndpointName>(name: N, text: string): ResponseOf<N> {
    const row: Endpoint = endpoints[name];
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw notUnderstood(name, 'it is not JSON', cause);
    }
    const parsed = row.response?.safeParse(value);
    // A newer daemon may say more; that is no reason to fail. Anything else is.
    const wrong = parsed?.error?.issues.find((issue) => issue.code !== 'unrecognized_keys');
    if (wrong) throw notUnderstood(name, `${wrong.path.join('.')}: ${wrong.message}`);
    return (parsed?.success === true ? parsed.data : value) as ResponseOf<N>;
  }
}

/** On a socket the kernel says who calls, and its name is nobody's business. */
function headersFor(address: Address): Record<string, string> {
  if (address.kind === 'socket') return { host: 'orchestra' };
  return address.token === undefined ? {} : { authorization: `Bearer ${address.token}` };
}

const accepts: Readonly<Record<Endpoint['answer'], string>> = {
  json: 'application/json',
  events: 'text/event-stream',
  ndjson: 'application/x-ndjson',
  bytes: '*/*',
};

function fill(path: string, params: Readonly<Record<string, string>>): string {
  return path.replace(/:([a-z]+)/g, (_all, name: string) => {
    const value = params[name];
    if (value === undefined) throw new Error(`the path ${path} needs ${name}`);
    // Whoever normalises the path would take these out of it.
    if (['', '.', '..'].includes(value)) {
      throw new OrchestraError('usage.invalid', `"${value}" is no name`);
    }
    return encodeURIComponent(value);
  });
}

function queryOf(query: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const said = Object.entries(query).filter(([, value]) => value !== undefined);
  if (said.length === 0) return '';
  return `?${new URLSearchParams(said.map(([name, value]): [string, string] => [name, String(value)])).toString()}`;
}

function wasBrokenOff(error: unknown): boolean {
  const { cause } = error as { cause?: NodeJS.ErrnoException };
  return cause?.code === 'ECONNRESET' || cause?.code === 'EPIPE';
}

function deadline(ms: number, late: () => void): NodeJS.Timeout | undefined {
  return Number.isFinite(ms) ? setTimeout(late, ms) : undefined;
}

function tooSlow(): OrchestraError {
  return new OrchestraError('request.timeout', 'The daemon did not answer in time', {
    hint: 'orchestra doctor',
  });
}

function notUnderstood(name: string, why: string, cause?: unknown): OrchestraError {
  return new OrchestraError(
    'internal.bug',
    `The daemon's answer to ${name} was not understood: ${why}`,
    {
      hint: 'the versions of orchestra and orchestrad may differ: orchestra doctor',
      cause,
    },
  );
}

async function readAll(response: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      response.destroy();
      throw new OrchestraError('request.too_large', `The answer is larger than ${bytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
