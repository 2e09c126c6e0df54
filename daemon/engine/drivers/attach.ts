import { request } from 'node:http';
import type { Socket } from 'node:net';
import { throughGate } from '../gate.ts';
import type { Attached, OutputPiece } from '../engine.ts';
import type { EngineAddress } from './address.ts';
import { demultiplex } from './demultiplex.ts';
import { asking, engineError } from './errors.ts';

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
      const opened = asking('start a sandbox', () => ready);
      // An engine that dies before the start leaves nobody to wait for this.
      opened.catch(() => {});
      return {
        ready: opened,
        isOpen: () => !socket.destroyed && socket.writable,
        output,
        close: () => socket.destroy(),
      };
    },

    /**
     * The output from here on of a container whose gate is behind it. It ends without an error
     * where the connection does: then it is not whole, which whoever attaches late knows.
     */
    async follow(id: string): Promise<Attached> {
      const path = `/containers/${id}/attach?stream=1&stdout=1&stderr=1`;
      const socket = await upgrade(address, path);
      return {
        ready: Promise.resolve(),
        isOpen: () => !socket.destroyed,
        output: untilBroken(demultiplex(socket)),
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

async function* untilBroken(
  source: AsyncIterable<OutputPiece>,
): AsyncGenerator<OutputPiece, void, undefined> {
  try {
    yield* source;
  } catch {
    // Cut short; it was not whole before.
  }
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
