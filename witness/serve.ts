import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Answer, Witness } from './witness.ts';

/** A note of 64 KiB and the longest proof, with room. */
const bodyBytesMax = 96 * 1024;

/** The HTTP of C2SP tlog-witness, submission and monitoring under one prefix. */
export function witnessServer(witness: Witness): Server {
  const server = createServer(
    { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 5_000 },
    (request, response) => {
      answer(witness, request)
        .catch((error: unknown): Answer => {
          process.stderr.write(`orchestra-witness: ${String(error)}\n`);
          return { status: 500, text: 'failed\n' };
        })
        .then(({ status, text, type = 'text/plain; charset=utf-8' }) => {
          response.writeHead(status, { 'content-type': type }).end(text);
        })
        .catch(() => response.destroy());
    },
  );
  server.maxConnections = 64;
  return server;
}

async function answer(witness: Witness, request: IncomingMessage): Promise<Answer> {
  const [path = ''] = (request.url ?? '').split('?');
  if (path === '/add-checkpoint') {
    if (request.method !== 'POST') return { status: 405, text: 'POST only\n' };
    const body = await readBody(request);
    if (body === undefined) return { status: 413, text: 'too large\n' };
    return witness.addCheckpoint(body);
  }
  const [, named] = /^\/([0-9a-f]{64})\/checkpoint$/.exec(path) ?? [];
  if (named === undefined) return { status: 404, text: 'no such resource\n' };
  if (request.method !== 'GET') return { status: 405, text: 'GET only\n' };
  return witness.latest(named);
}

async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
