import { request, type IncomingMessage } from 'node:http';
import { OrchestraError } from '#contract/errors.ts';
import { blockBytes, ownerIn } from '../../workspace/copies/tar-header.ts';
import type { EngineAddress } from './address.ts';
import { asking } from './errors.ts';

/** Nothing is sent, taken or answered for so long: then the engine is gone. */
const silenceMs = 120_000;
const messageBytesMax = 64 * 1024;

type Ids = { uid: number; gid: number };

/**
 * Files into and out of a container's volumes. By requests of our own: the client library goes on
 * with a request whose content broke off, and the engine would take half a stream for all of it.
 */
export function openArchives(address: EngineAddress) {
  return {
    /** `owners`: one of whom the directory itself has to belong to afterwards. */
    async put(
      id: string,
      { target, tar, owners }: { target: string; tar: AsyncIterable<Uint8Array>; owners: Ids[] },
    ): Promise<void> {
      await asking('fill a volume', async () => {
        await send(address, at(id, target), tar);
        // A task that cannot write to its own workspace would fail for no reason that it could see.
        const { uid, gid } = ownerIn(await firstBlock(address, at(id, target)));
        if (owners.some((owner) => owner.uid === uid && owner.gid === gid)) return;
        throw new OrchestraError(
          'engine.failed',
          'The engine did not give a volume to the user of its sandbox',
          { hint: 'orchestra doctor' },
        );
      });
    },

    get: async (id: string, target: string): Promise<IncomingMessage> =>
      asking('read a volume', async () => open(address, at(id, target))),
  };
}

function at(id: string, target: string): string {
  return `/containers/${id}/archive?path=${encodeURIComponent(target)}`;
}

async function send(
  address: EngineAddress,
  path: string,
  tar: AsyncIterable<Uint8Array>,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // Whoever writes may fail before anybody waits for the answer.
  promise.catch(() => {});
  const req = request({
    ...address,
    path,
    method: 'PUT',
    agent: false,
    headers: { Host: 'engine', 'Content-Type': 'application/x-tar' },
  });
  req.setTimeout(silenceMs, () => req.destroy(new Error('no answer in time')));
  req.on('error', reject);
  req.on('response', (response) => {
    if (response.statusCode === 200) {
      response.resume();
      response.on('end', resolve).on('error', reject);
    } else refused(response).then(reject, reject);
  });
  let isAnswered = false;
  const answered = promise.finally(() => (isAnswered = true)).catch(() => {});
  try {
    for await (const piece of tar) {
      if (isAnswered) break;
      if (!req.write(piece)) {
        await Promise.race([new Promise((drained) => req.once('drain', drained)), answered]);
      }
    }
    req.end();
  } catch (error) {
    // Cut off, not ended: half of it must not look like all of it.
    req.destroy();
    throw error;
  }
  await promise;
}

async function open(address: EngineAddress, path: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const req = request({ ...address, path, agent: false, headers: { Host: 'engine' } });
  req.setTimeout(silenceMs, () => req.destroy(new Error('no answer in time')));
  req.on('error', reject);
  req.on('response', (response) => {
    // From here on whoever reads decides what is too slow.
    req.setTimeout(0);
    if (response.statusCode === 200) resolve(response);
    else refused(response).then(reject, reject);
  });
  req.end();
  return promise;
}

async function firstBlock(address: EngineAddress, path: string): Promise<Buffer> {
  const response = await open(address, path);
  const timer = setTimeout(() => response.destroy(new Error('no answer in time')), silenceMs);
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      parts.push(part);
      bytes += part.length;
      if (bytes >= blockBytes) return Buffer.concat(parts).subarray(0, blockBytes);
    }
  } finally {
    clearTimeout(timer);
    response.destroy();
  }
  throw new OrchestraError('engine.failed', 'The engine shows nothing of a volume');
}

/** An answer that is no success, as `asking` wants it. */
async function refused(response: IncomingMessage): Promise<Error> {
  let said = '';
  response.setEncoding('utf8');
  for await (const part of response as AsyncIterable<string>) {
    if (said.length < messageBytesMax) said += part;
  }
  const refusal = { statusCode: response.statusCode ?? 500, json: json(said) };
  return Object.assign(new Error('refused'), refusal);
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
