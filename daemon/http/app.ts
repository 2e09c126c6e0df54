import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import type { Logger } from 'pino';
import type { z } from 'zod';
import { endpoints, type Endpoint, type EndpointName } from '#contract/api.ts';
import { OrchestraError } from '#contract/errors.ts';
import type { Actor } from '#contract/records.ts';
import type { Log } from '../audit/types.ts';
import type { Vault } from '../audit/vault/vault.ts';
import { newRequestId } from '../base/ids.ts';
import { cutText } from '../base/text.ts';
import { jsonBytesMax, readJson } from './body.ts';
import type { PeerReader } from './identity.ts';
import { asOrchestraError, refusalFor } from './problem.ts';

type Env = { Bindings: HttpBindings; Variables: { requestId: string } };
type Queried<E> = E extends { query: infer Q extends z.ZodType } ? z.infer<Q> : undefined;
type Bodied<E> = E extends { body: infer B extends z.ZodType } ? z.infer<B> : undefined;

/** One request, parsed: what a route may look at. */
export type Call<E extends Endpoint> = {
  param: (name: string) => string;
  query: Queried<E>;
  body: Bodied<E>;
  actor: Actor;
  requestId: string;
  incoming: IncomingMessage;
  /** For what `sendBytes` answers. */
  outgoing: ServerResponse;
  /** Aborts when the caller goes away. */
  signal: AbortSignal;
};

export type Answer = Response | object;
export type Routes = {
  [N in EndpointName]: (call: Call<(typeof endpoints)[N]>) => Promise<Answer>;
};
export type EdgeDeps = {
  log: Log;
  logger: Logger;
  peers: PeerReader;
  /** Gives callers the names that the log may know them by. */
  vault?: Pick<Vault, 'actor'>;
};

/** The edge: who is calling, parse, call one function below, answer. No decisions. */
export function buildApp(deps: EdgeDeps, routes: Routes): Hono<Env> {
  const app = new Hono<Env>();
  const greeted = new WeakSet<object>();

  for (const name of Object.keys(endpoints) as EndpointName[]) {
    const row: Endpoint = endpoints[name];
    app.on(row.method, row.path, async (c) => {
      const requestId = newRequestId();
      c.set('requestId', requestId);
      const actor = await callerOf(deps, c);
      await greet(deps, greeted, c, row, actor);
      const call = {
        param: (key: string) => c.req.param(key) ?? '',
        query: row.query?.parse(c.req.query()),
        body: row.body?.parse(await readJson(c.env.incoming, jsonBytesMax)),
        actor,
        requestId,
        incoming: c.env.incoming,
        outgoing: c.env.outgoing,
        signal: closing(c),
      };
      // Each route is typed by its own row; the loop over all of them cannot say so.
      const answer = await (routes[name] as (call: unknown) => Promise<Answer>)(call);
      return answer instanceof Response ? answer : c.json(answer);
    });
  }

  app.notFound((c) => refuse(deps, c, new OrchestraError('route.unknown', 'No such route')));
  app.onError((error, c) => refuse(deps, c, error));
  return app;
}

async function callerOf({ peers, vault }: EdgeDeps, c: Context<Env>): Promise<Actor> {
  const actor = peers.actorOf(c.env.incoming.socket);
  return vault === undefined ? actor : vault.actor(actor);
}

/** The first call of a connection that changes something names its caller in the log. */
async function greet(
  deps: EdgeDeps,
  greeted: WeakSet<object>,
  c: Context<Env>,
  row: Endpoint,
  actor: Actor,
): Promise<void> {
  const { socket } = c.env.incoming;
  if (!row.changes || greeted.has(socket)) return;
  greeted.add(socket);
  await deps.log.append({ type: 'auth.succeeded', actor, data: { method: actor.auth } });
}

async function refuse(deps: EdgeDeps, c: Context<Env>, error: unknown): Promise<Response> {
  const known = asOrchestraError(error);
  const requestId = c.get('requestId') ?? newRequestId();
  const { problem, retry } = refusalFor(known, requestId);
  if (problem.status >= 500) deps.logger.error({ err: known, requestId }, 'request failed');
  if (known.code === 'internal.bug') await recordBug(deps, c, requestId);
  if (isMalformed(known)) await recordRejected(deps, c, known, requestId);
  return c.json(problem, problem.status as 400, {
    'content-type': 'application/problem+json',
    // A body that was not read to its end cannot be followed by another request.
    ...(problem.status === 413 ? { connection: 'close' } : {}),
    ...(retry && problem.status !== 502 ? { 'retry-after': '1' } : {}),
  });
}

function isMalformed(error: OrchestraError): boolean {
  return error.code.startsWith('request.') || error.code === 'route.unknown';
}

async function recordRejected(
  deps: EdgeDeps,
  c: Context<Env>,
  error: OrchestraError,
  requestId: string,
): Promise<void> {
  if (deps.log.blocked) return;
  await deps.log.append({
    type: 'api.rejected',
    outcome: 'denied',
    sev: 'notice',
    actor: await callerOf(deps, c),
    req: requestId,
    data: {
      route: cutText(`${c.req.method} ${c.req.path}`, 256),
      code: error.code,
      reason: cutText(error.message, 512),
    },
  });
}

/** That something of ours is broken, not what: the message may hold anything. */
async function recordBug(deps: EdgeDeps, c: Context<Env>, requestId: string): Promise<void> {
  if (deps.log.blocked) return;
  await deps.log.append({
    type: 'daemon.error',
    outcome: 'failed',
    sev: 'alert',
    actor: await callerOf(deps, c),
    req: requestId,
    data: { code: 'internal.bug', what: cutText(`${c.req.method} ${c.req.path}`, 1024) },
  });
}

function closing(c: Context<Env>): AbortSignal {
  const controller = new AbortController();
  const gone = () => new OrchestraError('request.invalid', 'The caller went away');
  c.env.outgoing.once('close', () => controller.abort(gone()));
  return controller.signal;
}
