import { once } from 'node:events';
import { request } from 'node:http';
import { createServer } from 'node:https';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { pipeline } from 'node:stream';
import type { FakeDaemon } from './fake-daemon.ts';
import { makeCertificate } from './certificate.ts';

export type Front = AsyncDisposable & {
  url: string;
  port: number;
  cert: string;
  /** What each request showed as who it is. */
  shown: (string | undefined)[];
  hosts: (string | undefined)[];
};

/** TLS in front of a fake daemon; everything goes through, but for who shows another token. */
export async function networkFront(
  daemon: FakeDaemon,
  { dir, token, names }: { dir: string; token?: string; names?: string },
): Promise<Front> {
  const { cert, key } = makeCertificate(dir, 'front', names === undefined ? {} : { names });
  const shown: Front['shown'] = [];
  const hosts: Front['hosts'] = [];
  const tls = { cert: await readFile(cert), key: await readFile(key) };
  const server = createServer(tls, (incoming, outgoing) => {
    const { authorization, host } = incoming.headers;
    shown.push(authorization);
    hosts.push(host);
    if (token !== undefined && authorization !== `Bearer ${token}`) {
      const code = authorization === undefined ? 'token.missing' : 'token.expired';
      const problem = { type: 'x', title: code, status: 401, detail: code, code, exit_code: 5 };
      outgoing.writeHead(401, { 'content-type': 'application/problem+json', connection: 'close' });
      outgoing.end(JSON.stringify({ ...problem, hint: 'orchestra login' }));
      return;
    }
    const { method = 'GET', url: path = '/', headers } = incoming;
    const inner = request({ socketPath: daemon.socketPath, method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      pipeline(answer, outgoing, () => undefined);
    });
    inner.on('error', () => outgoing.destroy());
    pipeline(incoming, inner, () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}`,
    port,
    cert,
    shown,
    hosts,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
