import type { Server } from 'node:http';
import { createAdaptorServer } from '@hono/node-server';
import { buildApp, type EdgeDeps, type Routes } from './app.ts';
import { listenOn } from './socket.ts';

const second = 1000;
/** systemd's first passed descriptor, sd_listen_fds(3). */
const passedFd = 3;

export type Listening = { close(deadlineMs: number): Promise<void> };

/**
 * Serves the API on a unix socket, or on the one systemd passed. Headers must arrive within 10 s
 * and be under 16 KiB, a whole request within 10 minutes (a snapshot may be large); an answer may
 * take as long as its run.
 */
export async function serve(
  deps: EdgeDeps,
  routes: Routes,
  options: { socket: string; isPassed: boolean },
): Promise<Listening> {
  const app = buildApp(deps, routes);
  const server = createAdaptorServer({
    fetch: app.fetch,
    overrideGlobalObjects: false,
    serverOptions: {
      maxHeaderSize: 16 * 1024,
      headersTimeout: 10 * second,
      requestTimeout: 600 * second,
      keepAliveTimeout: 5 * second,
      connectionsCheckingInterval: 5 * second,
    },
  }) as Server;
  server.maxConnections = 512;
  server.maxHeadersCount = 100;
  if (options.isPassed) server.listen({ fd: passedFd });
  else await listenOn(server, options.socket);
  return {
    close: (deadlineMs) =>
      new Promise((resolve) => {
        // Followers of an open stream never leave by themselves.
        const timer = setTimeout(() => server.closeAllConnections(), deadlineMs);
        server.close(() => {
          clearTimeout(timer);
          resolve();
        });
        server.closeIdleConnections();
      }),
  };
}
