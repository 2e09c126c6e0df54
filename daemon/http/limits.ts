import type { Server } from 'node:http';

const second = 1000;

/**
 * What a connection may take, wherever it comes from. Headers must arrive within 10 s and be under
 * 16 KiB, a whole request within 10 minutes (a snapshot may be large); an answer may take as long
 * as its run.
 */
export const serverOptions = {
  maxHeaderSize: 16 * 1024,
  headersTimeout: 10 * second,
  requestTimeout: 600 * second,
  keepAliveTimeout: 5 * second,
  connectionsCheckingInterval: 5 * second,
} as const;

export const headersMax = 100;

/** Takes nothing new, lets what runs end, and after the deadline ends it. */
export function closeWithin(server: Server, deadlineMs: number): Promise<void> {
  return new Promise((resolve) => {
    // Followers of an open stream never leave by themselves.
    const timer = setTimeout(() => server.closeAllConnections(), deadlineMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}
