import { request } from 'node:http';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { OrchestraError } from '#contract/errors.ts';
import type { Attached, OutputPiece } from '../engine.ts';
import { throughGate } from '../gate.ts';
import { asking, engineError } from './errors.ts';
import type { EngineAddress } from './address.ts';

const answerMs = 30_000;

/**
 * Attaches by an HTTP upgrade of our own. The client library sends its options as a request body
 * too, which Podman feeds into the container's standard input.
 */
export function openAttachments(address: EngineAddress) {
  const sockets = new Map<string, Socket>();
  return {
    async attach(id: string): Promise<Attached> {
      const path = `/containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1`;
      const socket = await upgrade(address, path);
      sockets.set(id, socket);
      const { ready, output } = throughGate(demultiplex(socket));
      return {
        ready: asking('start a sandbox', () => ready),
        output,
        close: () => socket.destroy(),
      };
    },

    /** Writes to the standard input of an attached container. */
    async send(id: string, bytes: Uint8Array): Promise<void> {
      const socket = sockets.get(id);
      await asking('let a task go', async () => {
        if (socket === undefined) throw new Error('not attached');
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        socket.write(bytes, (error) => (error ? reject(error) : resolve()));
        await promise;
      });
    },

    forget: (id: string) => void sockets.delete(id),
  };
}

async function upgrade(address: EngineAddress, path: string): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const req = request({
    ...address,
    path,
    method: 'POST',
    agent: false,
    headers: { Host: 'engine', Connection: 'Upgrade', Upgrade: 'tcp', 'Content-Length': '0' },
  });
  req.setTimeout(answerMs, () => req.destroy(new Error('no answer in time')));
  req.on('error', (error) => reject(engineError('attach to a sandbox', error)));
  req.on('upgrade', (_response, socket: Socket, head) => {
    socket.setTimeout(0);
    // Nobody may be reading when it breaks; whoever reads gets the error from the iterator.
    socket.on('error', () => {});
    if (head.length > 0) socket.unshift(head);
    resolve(socket);
  });
  req.on('response', (response) => {
    response.resume();
    const refused = Object.assign(new Error('no upgrade'), { statusCode: response.statusCode });
    reject(engineError('attach to a sandbox', refused));
  });
  req.end();
  return promise;
}

const headerBytes = 8;

/**
 * Takes the engine's frames apart: stream number, three zero bytes, length, bytes. A frame is given
 * on as it arrives, whatever length it claims, so nothing but a header is ever kept.
 */
export async function* demultiplex(
  source: Readable | AsyncIterable<Uint8Array>,
): AsyncGenerator<OutputPiece, void, undefined> {
  let header = Buffer.alloc(0);
  let left = 0;
  let s: 1 | 2 = 1;
  try {
    for await (const chunk of source as AsyncIterable<Uint8Array>) {
      let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      while (rest.length > 0) {
        if (left > 0) {
          const bytes = rest.subarray(0, left);
          rest = rest.subarray(bytes.length);
          left -= bytes.length;
          yield { s, bytes };
          continue;
        }
        const missing = headerBytes - header.length;
        header = Buffer.concat([header, rest.subarray(0, missing)]);
        rest = rest.subarray(missing);
        if (header.length < headerBytes) continue;
        s = streamOf(header);
        left = header.readUInt32BE(4);
        header = Buffer.alloc(0);
      }
    }
  } catch (cause) {
    throw engineError('pass on the output of a sandbox', cause);
  }
  if (left > 0 || header.length > 0) throw broken('ended in the middle of a frame');
}

function streamOf(header: Buffer): 1 | 2 {
  const number = header[0];
  if ((number !== 1 && number !== 2) || header.readUIntBE(1, 3) !== 0) {
    throw broken('holds a malformed frame');
  }
  return number;
}

function broken(how: string): OrchestraError {
  return new OrchestraError('engine.failed', `The output of a sandbox ${how}`);
}
