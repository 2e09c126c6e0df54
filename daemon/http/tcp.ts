import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import { getRequestListener } from '@hono/node-server';
import type { Logger } from 'pino';
import { OrchestraError } from '#contract/errors.ts';
import type { CallerReader, Identity } from '../access/caller.ts';
import { stranger } from '../access/callers.ts';
import type { Refusals } from '../access/refusals.ts';
import type { TokenDoor } from '../access/tokens-door.ts';
import type { Tokens } from '../access/tokens.ts';
import { newRequestId } from '../base/ids.ts';
import { cutText } from '../base/text.ts';
import { closeWithin, headersMax, serverOptions } from './limits.ts';
import { refusalOf, type OriginRules } from './origin.ts';
import { asOrchestraError, refusalFor } from './problem.ts';
import { TokenSockets } from './tcp-sockets.ts';
import { isLoopback, spellTcpAddress } from './tcp-address.ts';
import { namesOf, readTls, type TcpPlan } from './tcp-settings.ts';

export type TcpDeps = {
  door: TokenDoor;
  tokens: Pick<Tokens, 'onRevoked' | 'holds'>;
  refusals: Pick<Refusals, 'record'>;
  logger: Logger;
  now: () => number;
  /** The API itself, for callers whom this reader knows. */
  app(reader: CallerReader): Parameters<typeof getRequestListener>[0];
};

export type TcpListening = {
  /** Such as `https://127.0.0.1:7457`. */
  urls: readonly string[];
  /** Certificates and keys are read again; where one is not in order, the old ones stay. */
  reload(): Promise<void>;
  close(deadlineMs: number): Promise<void>;
};

const handshakeMs = 10_000;
const connectionsMax = 256;
const ofOneAddressMax = 64;

type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>;

/**
 * The API over TCP, with TLS where it leaves the machine. Each request has to come under a name that
 * was given out, from no foreign page, and with a token that holds; only then is it looked at. When a
 * token is revoked, what is open with it ends.
 */
export async function openTcp(plans: readonly TcpPlan[], deps: TcpDeps): Promise<TcpListening> {
  const identities = new WeakMap<IncomingMessage, Identity>();
  const reader: CallerReader = {
    proof: 'token',
    missing: undefined,
    read: (incoming) => Promise.resolve(identities.get(incoming)),
  };
  const listener: Listener = getRequestListener(deps.app(reader), {
    overrideGlobalObjects: false,
  });
  await using opened = new AsyncDisposableStack();
  const sockets = opened.use(new TokenSockets(deps));
  const admitted: Listener = async (incoming, outgoing) => {
    const identity = await deps.door.admit({
      authorization: incoming.headers.authorization,
      address: addressOf(incoming.socket),
      path: (incoming.url ?? '').split('?', 1)[0] ?? '',
    });
    identities.set(incoming, identity);
    // Who shows none is let in to where none is needed.
    const token = identity.auth === 'none' ? undefined : identity.token?.id;
    if (token !== undefined && !sockets.add(token, incoming.socket)) return;
    if (!outgoing.destroyed) await listener(incoming, outgoing);
  };
  const servers: { server: Server; plan: TcpPlan; url: string }[] = [];
  for (const plan of plans) {
    const { server, url } = await listen(plan, admitted, deps);
    opened.defer(() => closeWithin(server, 0));
    servers.push({ server, plan, url });
  }
  const kept = opened.move();
  return {
    urls: servers.map(({ url }) => url),
    reload: async () => {
      for (const { server, plan } of servers) await reloadTls(server, plan, deps.logger);
    },
    close: async (deadlineMs) => {
      await Promise.all(servers.map(({ server }) => closeWithin(server, deadlineMs)));
      await kept.disposeAsync();
    },
  };
}

async function listen(
  plan: TcpPlan,
  admitted: Listener,
  deps: TcpDeps,
): Promise<{ server: Server; url: string }> {
  let rules: OriginRules = { hosts: new Set(), origins: new Set() };
  const handle = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    hardened(outgoing);
    const { url = '', rawHeaders } = incoming;
    const refusal = refusalOf({ url, rawHeaders }, rules);
    const handled =
      refusal === undefined ? admitted(incoming, outgoing) : Promise.reject<void>(refusal);
    handled
      .catch((error: unknown) => refuse(incoming, outgoing, error, deps))
      .catch((error: unknown) => {
        deps.logger.error({ err: error }, 'a refusal could not be told');
        outgoing.destroy();
      });
  };
  const server = await serverFor(plan, handle);
  server.maxConnections = connectionsMax;
  server.maxHeadersCount = headersMax;
  limitOneAddress(server);
  // Port scanners, and whoever speaks HTTP to a port with TLS: their connection is closed.
  server.on('tlsClientError', (error: Error, socket: Socket) => {
    deps.logger.debug({ err: error }, 'no TLS');
    socket.destroy();
  });
  await bound(server, plan);
  server.on('error', (error) => deps.logger.error({ err: error }, 'listening'));
  const { port } = server.address() as AddressInfo;
  rules = namesOf(plan, port);
  const scheme = plan.tls === undefined ? 'http' : 'https';
  return { server, url: `${scheme}://${spellTcpAddress({ host: plan.address.host, port })}` };
}

async function serverFor(
  { tls }: TcpPlan,
  handle: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
): Promise<Server> {
  if (tls === undefined) return createServer(serverOptions, handle);
  const withClients = tls.client_ca !== undefined;
  return createTlsServer(
    {
      ...serverOptions,
      ...(await readTls(tls)),
      handshakeTimeout: handshakeMs,
      requestCert: withClients,
      rejectUnauthorized: withClients,
    },
    handle,
  );
}

function bound(server: Server, { ip, port, address }: TcpPlan): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'something else listens there' : cause.code;
      const spelled = spellTcpAddress({ host: address.host, port });
      reject(
        new OrchestraError('config.invalid', `Cannot listen on ${spelled}: ${why ?? 'unknown'}`, {
          hint: 'choose another address in "listen" of the configuration',
          cause,
        }),
      );
    });
    server.listen({ host: ip, port, exclusive: true }, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}

/** Nobody who is not even known takes all the places there are. */
function limitOneAddress(server: Server): void {
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const address = addressOf(socket);
    // On the machine itself it may be a proxy, behind which there are many.
    if (isLoopback(address)) return;
    const count = (open.get(address) ?? 0) + 1;
    open.set(address, count);
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left === 0) open.delete(address);
      else open.set(address, left);
    });
    if (count > ofOneAddressMax) socket.destroy();
  });
}

async function reloadTls(server: Server, { tls }: TcpPlan, logger: Logger): Promise<void> {
  if (tls === undefined) return;
  try {
    (server as unknown as TlsServer).setSecureContext(await readTls(tls));
    logger.info({ cert: tls.cert }, 'the certificate was read again');
  } catch (error) {
    logger.error({ err: error }, 'the certificate stays as it was');
  }
}

/** Nothing of what is answered here is for a page to show, to keep or to embed. */
function hardened(outgoing: ServerResponse): void {
  outgoing.setHeader('x-content-type-options', 'nosniff');
  outgoing.setHeader('cross-origin-resource-policy', 'same-origin');
  outgoing.setHeader('cache-control', 'no-store');
}

async function refuse(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  cause: unknown,
  { refusals, logger }: TcpDeps,
): Promise<void> {
  const error = asOrchestraError(cause);
  const requestId = newRequestId();
  const { problem } = refusalFor(error, requestId);
  if (problem.status >= 500) logger.error({ err: error, requestId }, 'request failed');
  if (error.code === 'host.unknown' || error.code === 'origin.denied') {
    const address = addressOf(incoming.socket);
    await refusals.record(address, {
      type: 'api.rejected',
      outcome: 'denied',
      sev: 'notice',
      actor: stranger().actor,
      req: requestId,
      data: {
        route: cutText(`${incoming.method} ${incoming.url?.split('?', 1)[0]}`, 256),
        code: error.code,
        reason: cutText(`${error.message}; from ${address}`, 512),
      },
    });
  }
  if (outgoing.headersSent) {
    outgoing.destroy();
    return;
  }
  outgoing.writeHead(problem.status, {
    'content-type': 'application/problem+json',
    // Its body, where it has one, is not read.
    connection: 'close',
    ...(problem.status === 401 ? { 'www-authenticate': 'Bearer realm="orchestra"' } : {}),
    ...(problem.status === 429 ? { 'retry-after': secondsIn(error.hint) } : {}),
  });
  outgoing.end(JSON.stringify(problem));
}

function secondsIn(hint = ''): string {
  return /(\d+)s/.exec(hint)?.[1] ?? '1';
}

function addressOf({ remoteAddress = 'unknown' }: Socket): string {
  return remoteAddress.replace(/^::ffff:(?=[\d.]+$)/, '');
}
