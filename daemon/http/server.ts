import type { Server } from 'node:http';
import { createAdaptorServer } from '@hono/node-server';
import { buildApp, type EdgeDeps, type Routes } from './app.ts';
import { closeWithin, headersMax, serverOptions } from './limits.ts';
import { listenOn } from './socket.ts';

/** systemd's first passed descriptor, sd_listen_fds(3). */
const passedFd = 3;

export type Listening = { close(deadlineMs: number): Promise<void> };

/** Serves the API on a unix socket, or on the one systemd passed. */
export async function serve(
  deps: EdgeDeps,
  routes: Routes,
  options: { socket: string; isPassed: boolean },
): Promise<Listening> {
  const app = buildApp(deps, routes);
  const server = createAdaptorServer({
    fetch: app.fetch,
    overrideGlobalObjects: false,
    serverOptions,
  }) as Server;
  server.maxConnections = 512;
  server.maxHeadersCount = headersMax;
  if (options.isPassed) server.listen({ fd: passedFd });
  else await listenOn(server, options.socket);
  return { close: (deadlineMs) => closeWithin(server, deadlineMs) };
}
