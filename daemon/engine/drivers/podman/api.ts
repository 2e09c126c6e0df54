import { request, type Agent, type IncomingMessage } from 'node:http';
import type { EngineAddress } from '../address.ts';

export type LibpodCall = { method: 'GET' | 'POST'; path: string; body?: unknown };

/** One call of Podman's own API. Rejects with the status and the words of a refusal. */
export type Libpod = (call: LibpodCall, signal?: AbortSignal) => Promise<unknown>;

/** The oldest version of the API that says what is needed; newer ones still answer to it. */
const version = '/v4.0.0/libpod';
const answerMax = 8 * 1024 * 1024;

/**
 * Podman's own API beside the compatible one: the compatible one has no words for an exact
 * environment, for an overlay mount or for what the runtime was given.
 */
export function openLibpod(address: EngineAddress, agent: Agent, silenceMs: number): Libpod {
  return async ({ method, path, body }, signal) => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const text = body === undefined ? '' : JSON.stringify(body);
    const req = request({
      ...address,
      agent,
      method,
      path: `${version}${path}`,
      ...(signal === undefined ? {} : { signal }),
      headers: {
        Host: 'engine',
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(text),
      },
    });
    // A wait says nothing for as long as the task runs: whoever waits brings a signal.
    if (silenceMs > 0) req.setTimeout(silenceMs, () => req.destroy(new Error('no answer in time')));
    req.on('error', reject);
    req.on('response', resolve);
    req.end(text);
    const response = await promise;
    const status = response.statusCode ?? 0;
    const answer = parseJson(await readAll(response));
    if (status >= 200 && status < 400) return answer;
    throw Object.assign(new Error(`HTTP ${status}`), { statusCode: status, json: answer });
  };
}

async function readAll(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > answerMax) throw new Error('the answer of the engine is too large');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Undefined for what is not JSON, which no schema takes. */
export function parseJson(text: string): unknown {
  try {
    return text.trim() === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
