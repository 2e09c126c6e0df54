import { request } from 'node:http';
import type { Socket } from 'node:net';
import type { Attached } from '../engine.ts';
import type { EngineAddress } from './address.ts';
import { demultiplex } from './demultiplex.ts';
import { engineError } from './errors.ts';

const answerMs = 30_000;

/**
 * Attaches by an HTTP upgrade of our own. The client library sends its options as a request body
 * too, which Podman feeds into the container's standard input.
 */
export async function attachTo(address: EngineAddress, id: string): Promise<Attached> {
  const socket = await upgrade(address, `/containers/${id}/attach?stream=1&stdout=1&stderr=1`);
  return { output: demultiplex(socket), close: () => socket.destroy() };
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
