import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import path from 'node:path';

export type FakeEngine = AsyncDisposable & { host: string; asked: string[] };

/** A unix socket that answers like an engine as far as the test says; keeps what it was asked. */
export async function fakeEngine(answer: RequestListener): Promise<FakeEngine> {
  const dir = mkdtempSync(path.join(tmpdir(), 'engine-'));
  const socketPath = path.join(dir, 'engine.sock');
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    request.resume();
    answer(request, response);
  });
  server.listen(socketPath);
  await once(server, 'listening');
  return {
    host: `unix://${socketPath}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Answers ping and version like Docker, with changes. */
export function likeDocker(version: object = {}): RequestListener {
  return (request, response) => {
    response.end(
      request.url === '/_ping'
        ? 'OK'
        : JSON.stringify({ Version: '20.10.24', ApiVersion: '1.41', ...version }),
    );
  };
}
