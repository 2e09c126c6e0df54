import type { IncomingMessage, ServerResponse } from 'node:http';
import type { HttpBindings } from '@hono/node-server';
import { Hono, type Context } from 'hono';
import type { Logger } from 'pino';
import type { z } from 'zod';
import { endpoints, type Endpoint, type EndpointName } from '#contract/api.ts';
import { OrchestraError } from '#contract/errors.ts';
import { ownerScheme } from '#contract/owner-proof.ts';
import type { Actor } from '#contract/records.ts';
import { ownerOf, type Caller, type Owned } from '../access/caller.ts';
import { stranger, type Callers } from '../access/callers.ts';
import type { Refusals } from '../access/refusals.ts';
import type { Log } from '../audit/types.ts';
import { newRequestId } from '../base/ids.ts';
import { cutText } from '../base/text.ts';
import { jsonBytesMax, readJson } from './body.ts';
import { refuseOthers, refuseRole } from './may.ts';
import { asOrchestraError, refusalFor } from './problem.ts';

type Env = {
  Bindings: HttpBindings;
  Variables: { requestId: string; row?: Endpoint; caller?: Caller };
};
type Queried<E> = E extends { query: infer Q extends z.ZodType } ? z.infer<Q> : undefined;
type Bodied<E> = E extends { body: infer B extends z.ZodType } ? z.infer<B> : undefined;

/** One request, parsed: what a route may look at. */
export type Call<E extends Endpoint> = {
  param: (name: string) => string;
  query: Queried<E>;
  body: Bodied<E>;
  /** As the log names the caller. */
  actor: Actor;
  caller: Caller;
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
  callers: Pick<Callers, 'of'>;
  refusals: Pick<Refusals, 'record'>;
  /**
   * The run that a caller means, among those that he sees; throws `run.unknown`. Of every path under
   * a run it is asked before anything else is.
   */
  findRun(reference: string, caller: Caller): Owned & { id: string };
  /** Whether there is such a run at all; whoever asks is not told. */
  isRun(reference: string): boolean;
};

const underRun = '/v1/runs/:id';

/** The edge: who is calling, may he, parse, call one function below, answer. No decisions. */
export function buildApp(deps: EdgeDeps, routes: Routes): Hono<Env> {
  const app = new Hono<Env>();
  const greeted = new WeakSet<object>();

  for (const name of Object.keys(endpoints) as EndpointName[]) {
    const row: Endpoint = endpoints[name];
    app.on(row.method, row.path, async (c) => {
      const requestId = newRequestId();
      c.set('requestId', requestId);
      c.set('row', row);
      const caller = await callerOf(deps, c, row);
      refuseRole(name, row, caller);
      await greet(deps, greeted, c, row, caller.actor);
      const run = runOf(deps, c, row, caller);
      const call = {
        param: (key: string) => (key === 'id' && run) || (c.req.param(key) ?? ''),
        query: row.query?.parse(c.req.query()),
        body: row.body?.parse(await readJson(c.env.incoming, jsonBytesMax)),
        actor: caller.actor,
        caller,
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

async function callerOf(deps: EdgeDeps, c: Context<Env>, row: Endpoint): Promise<Caller> {
  const caller = needsNobody(row) ? stranger() : await deps.callers.of(c.env.incoming);
  c.set('caller', caller);
  return caller;
}

/** What says nothing about anybody is answered without a proof. */
function needsNobody({ roles, path }: Endpoint): boolean {
  return roles === 'anyone' && !path.startsWith('/v1/');
}

/** Whose run it is comes before everything that could tell that it is there. */
function runOf(deps: EdgeDeps, c: Context<Env>, row: Endpoint, caller: Caller): string | undefined {
  if (row.path !== underRun && !row.path.startsWith(`${underRun}/`)) return undefined;
  const reference = c.req.param('id') ?? '';
  let run: Owned & { id: string };
  try {
    run = deps.findRun(reference, caller);
  } catch (error) {
    // Not waited for: how long the answer takes would tell what it does not say.
    if (deps.isRun(reference)) void recordForeign(deps, c).catch(() => undefined);
    throw error;
  }
  if (row.method === 'POST') refuseOthers(run, caller);
  return run.id;
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
  if (known.code === 'access.denied') await recordDenied(deps, c, known, requestId);
  return c.json(problem, problem.status as 400, {
    'content-type': 'application/problem+json',
    // A body that was not read to its end cannot be followed by another request.
    ...(problem.status === 413 ? { connection: 'close' } : {}),
    ...(retry && problem.status !== 502 ? { 'retry-after': '1' } : {}),
    ...(problem.status === 401 ? { 'www-authenticate': ownerScheme } : {}),
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
  const actor = await actorOf(deps, c);
  await deps.refusals.record(ownerOf(actor), {
    type: 'api.rejected',
    outcome: 'denied',
    sev: 'notice',
    actor,
    req: requestId,
    data: {
      route: cutText(`${c.req.method} ${c.req.path}`, 256),
      code: error.code,
      reason: cutText(error.message, 512),
    },
  });
}

/** To the caller it is a run that does not exist. */
async function recordForeign(deps: EdgeDeps, c: Context<Env>): Promise<void> {
  const error = new OrchestraError('access.denied', "it is somebody else's run");
  await recordDenied(deps, c, error, c.get('requestId'));
}

async function recordDenied(
  deps: EdgeDeps,
  c: Context<Env>,
  error: OrchestraError,
  requestId: string,
): Promise<void> {
  const actor = await actorOf(deps, c);
  const roles = c.get('row')?.roles ?? [];
  await deps.refusals.record(ownerOf(actor), {
    type: 'access.denied',
    outcome: 'denied',
    sev: 'warn',
    actor,
    req: requestId,
    data: {
      route: cutText(`${c.req.method} ${c.req.path}`, 256),
      needs: roles === 'anyone' ? [] : [...roles],
      reason: cutText(error.message, 512),
    },
  });
}

/** Whoever it is, as far as anybody knows: a refusal may be just that nobody does. */
async function actorOf(deps: EdgeDeps, c: Context<Env>): Promise<Actor> {
  const known = c.get('caller');
  if (known !== undefined) return known.actor;
  try {
    return (await deps.callers.of(c.env.incoming)).actor;
  } catch {
    return stranger().actor;
  }
}

/** That something of ours is broken, not what: the message may hold anything. */
async function recordBug(deps: EdgeDeps, c: Context<Env>, requestId: string): Promise<void> {
  if (deps.log.blocked) return;
  await deps.log.append({
    type: 'daemon.error',
    outcome: 'failed',
    sev: 'alert',
    actor: await actorOf(deps, c),
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
