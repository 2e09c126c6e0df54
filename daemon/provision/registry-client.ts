import { lookup } from 'node:dns/promises';
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { Transform, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { getAuth } from 'npm-registry-fetch';
import { OrchestraError } from '#contract/errors.ts';
import { hostDenied, type HostRules } from './host-rules.ts';
import type { NpmConfig } from './npm-config.ts';

const redirectsMax = 5;
const idleMs = 30_000;

export type Wanted = { name: string; version: string };
/** Every address of a name, as the system says it; a test says something else. */
export type Resolve = (hostname: string) => Promise<{ address: string; family: number }[]>;
const systemResolve: Resolve = (hostname) => lookup(hostname, { all: true });
export type Download = { body: Readable; host: string };

/**
 * Asks registries, and only those that the rules allow: every hop of a redirect is judged again,
 * and a name is resolved exactly once, by the look-up that the connection uses, so that no second
 * answer can point somewhere else. Credentials are those that npm would send to that very address.
 */
export class RegistryClient {
  readonly #rules: HostRules;
  readonly #npm: NpmConfig;
  readonly #resolve: Resolve;
  readonly #agents: { http: HttpAgent; https: HttpsAgent };

  constructor(
    rules: HostRules,
    npm: NpmConfig,
    { socketsMax, resolve = systemResolve }: { socketsMax: number; resolve?: Resolve | undefined },
  ) {
    this.#resolve = resolve;
    this.#rules = rules;
    this.#npm = npm;
    const common = { keepAlive: true, maxSockets: socketsMax, scheduling: 'fifo' as const };
    this.#agents = { http: new HttpAgent(common), https: new HttpsAgent(common) };
  }

  /**
   * The body of a successful answer, at most `bytesMax` long. Rejects with `package.host_denied`,
   * with `package.unsupported` where the body is too long, with `NotFoundError`, or with an error
   * whose `isPassing` says whether asking again may help.
   */
  async get(
    address: string,
    wanted: Wanted,
    { accept, bytesMax, signal }: { accept: string; bytesMax: number; signal: AbortSignal },
  ): Promise<Download> {
    let url = new URL(address);
    for (let hop = 0; hop <= redirectsMax; hop += 1) {
      this.#rules.assertAllowed(url, wanted);
      const response = await this.#send(url, wanted, accept, signal);
      const { statusCode: status = 0 } = response;
      if (status === 200) {
        return { body: bounded(response, wanted, bytesMax), host: url.host };
      }
      response.destroy();
      const { location } = response.headers;
      if ([301, 302, 303, 307, 308].includes(status) && location !== undefined) {
        if (!URL.canParse(location, url.href))
          throw new AnswerError('a redirect to no address', false);
        url = new URL(location, url);
        continue;
      }
      if (status === 404) throw new NotFoundError();
      const isPassing = status === 408 || status === 425 || status === 429 || status >= 500;
      throw new AnswerError(`${url.host} answered ${status}`, isPassing);
    }
    throw new AnswerError(`more than ${redirectsMax} redirects`, false);
  }

  close(): void {
    this.#agents.http.destroy();
    this.#agents.https.destroy();
  }

  async #send(
    url: URL,
    wanted: Wanted,
    accept: string,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const { options } = this.#npm;
    const auth = getAuth(url.href, options);
    const authorization =
      auth.token !== null
        ? `Bearer ${auth.token}`
        : auth.auth !== null
          ? `Basic ${auth.auth}`
          : undefined;
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const isTls = url.protocol === 'https:';
    const request = (isTls ? httpsRequest : httpRequest)(url, {
      agent: isTls ? this.#agents.https : this.#agents.http,
      signal,
      lookup: this.#lookupFor(url, wanted),
      headers: {
        accept,
        'accept-encoding': 'gzip',
        'user-agent': 'orchestrad',
        ...(authorization === undefined ? {} : { authorization }),
      },
      ...(isTls ? tlsOptions(options, auth) : {}),
    });
    request.setTimeout(idleMs, () => {
      request.destroy(new AnswerError(`${url.host} was silent for ${idleMs} ms`, true));
    });
    request.on('response', resolve);
    request.on('error', reject);
    request.end();
    return promise;
  }

  #lookupFor(url: URL, wanted: Wanted): LookupFunction {
    return (hostname, options, callback) => {
      const answer = async () => {
        const addresses = await this.#resolve(hostname);
        const inward = addresses.find(({ address }) => !this.#rules.mayConnect(url.host, address));
        if (inward === undefined) return addresses;
        throw hostDenied(wanted, url.host, 'its name points to an address that is not public');
      };
      answer().then(
        (addresses) => {
          const [first = { address: '', family: 4 }] = addresses;
          if (options.all === true) callback(null, addresses);
          else callback(null, first.address, first.family);
        },
        (error: Error) => callback(error, []),
      );
    };
  }
}

/** A registry's answer that is not the package. */
export class AnswerError extends Error {
  override readonly name: string = 'AnswerError';
  readonly isPassing: boolean;

  constructor(message: string, isPassing: boolean) {
    super(message);
    this.isPassing = isPassing;
  }
}

export class NotFoundError extends AnswerError {
  override readonly name = 'NotFoundError';

  constructor() {
    super('the registry does not have it', false);
  }
}

function tlsOptions(
  options: Readonly<Record<string, unknown>>,
  auth: { cert: string | null; key: string | null },
) {
  const { ca, cert, key, strictSSL } = options;
  return {
    rejectUnauthorized: strictSSL !== false,
    ...(typeof ca === 'string' || Array.isArray(ca) ? { ca: ca as string | string[] } : {}),
    ...pair(auth.cert ?? cert, auth.key ?? key),
  };
}

function pair(cert: unknown, key: unknown) {
  return typeof cert === 'string' && typeof key === 'string' ? { cert, key } : {};
}

/** Counts what arrives after unpacking, whatever the header promised. */
function bounded(response: IncomingMessage, wanted: Wanted, bytesMax: number): Readable {
  let bytes = 0;
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes <= bytesMax) done(null, chunk);
      else done(tooLarge(wanted, bytesMax));
    },
  });
  const steps = response.headers['content-encoding'] === 'gzip' ? [createGunzip()] : [];
  let last: Readable = response;
  for (const next of [...steps, counter]) {
    last.on('error', (error) => next.destroy(error));
    next.on('close', () => response.destroy());
    last = last.pipe(next);
  }
  return counter;
}

export function tooLarge(wanted: Wanted, bytesMax: number): OrchestraError {
  return new OrchestraError(
    'package.unsupported',
    `${JSON.stringify(`${wanted.name}@${wanted.version}`)} is larger than the ${bytesMax} bytes that the policy allows`,
    { hint: 'Raise provision.package_bytes or provision.total_bytes in the policy' },
  );
}
