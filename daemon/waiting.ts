import { createServer, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { endpoints, type Check } from '#contract/api.ts';
import { OrchestraError } from '#contract/errors.ts';
import { refusalFor } from './http/problem.ts';
import { listenOn } from './http/socket.ts';

export type Waiting = {
  /** Why the daemon did not start: `engine.unavailable`. */
  missing: OrchestraError;
  version: string;
  /** Undefined where it was passed as descriptor 3. */
  socket: string | undefined;
  /** Rejects while the engine does not answer. */
  find: () => Promise<unknown>;
  /** In a line, what is waited for now. */
  say: (status: string) => void;
  signal: AbortSignal;
};

const passedFd = 3;
const everyMs = 1_000;
// One that answers and is still of no use is not tried again every second.
const answersAndFailsMs = 5_000;

/**
 * A daemon of a service that found no engine, until one is there: it says so to whoever asks,
 * instead of leaving callers at a socket that nobody answers, and touches neither log nor state.
 * Resolves when an engine answers or the signal aborts; to start then is a new process's part.
 */
export async function waitForEngine(waiting: Waiting): Promise<void> {
  const { socket, signal, find, say } = waiting;
  let missing = waiting.missing;
  const server = answering(waiting, () => missing);
  if (socket === undefined) server.listen({ fd: passedFd });
  else await listenOn(server, socket);
  try {
    let isFirst = true;
    while (!signal.aborted) {
      say(statusOf(missing));
      try {
        await find();
        if (!isFirst) return;
        await pause(answersAndFailsMs, signal);
        return;
      } catch (error) {
        if (error instanceof OrchestraError) missing = error;
      }
      isFirst = false;
      await pause(everyMs, signal);
    }
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

/** For the status line and the journal: what was tried, and what to do. */
export function statusOf({ message, places, hint }: OrchestraError): string {
  const tried = places.map((place) => place.message).join('; ');
  return [`waiting: ${message}`, tried, hint].filter((part) => part).join(' · ');
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}

function answering({ version }: Waiting, missing: () => OrchestraError): Server {
  const answers: Record<string, () => unknown> = {
    [endpoints.health.path]: () => ({ ok: true }),
    [endpoints.version.path]: () => ({
      product: 'orchestrad',
      version,
      api: 'v1',
      node: process.version,
    }),
    [endpoints.doctor.path]: () => ({ checks: [checkOf(missing())] }),
  };
  const server = createServer({ maxHeaderSize: 16 * 1024 }, (request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    const answer = Object.hasOwn(answers, path) ? answers[path] : undefined;
    // What comes with the request is not read, so nothing more may come on this connection.
    response.setHeader('connection', 'close');
    if (answer !== undefined && request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer()));
      return;
    }
    const { problem } = refusalFor(missing(), 'waiting');
    response
      .writeHead(problem.status, { 'content-type': 'application/problem+json', 'retry-after': '1' })
      .end(JSON.stringify(problem));
  });
  server.maxConnections = 128;
  return server;
}

function checkOf({ message, places, hint }: OrchestraError): Check {
  const said = [message, ...places.map((place) => place.message)].join('; ');
  return { name: 'engine', status: 'problem', message: said, ...(hint && { remedy: hint }) };
}
