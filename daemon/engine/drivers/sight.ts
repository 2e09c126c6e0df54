import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import type { EngineAddress } from './address.ts';

const answerMs = 10_000;
const answerBytesMax = 64 * 1024;

/**
 * Whether the engine sees this file of ours under the same path; undefined where it cannot be told.
 * Asked without making anything: for a container of an image that cannot be there, an engine names
 * the mount that it does not find before it names the image.
 */
export async function seesFile(address: EngineAddress, file: string): Promise<boolean | undefined> {
  try {
    if ((await missed(address, `${file}.${randomUUID()}`)) !== 'mount') return undefined;
    const what = await missed(address, file);
    return what === undefined ? undefined : what === 'image';
  } catch {
    return undefined;
  }
}

/** What the engine says is not there. */
async function missed(
  address: EngineAddress,
  source: string,
): Promise<'mount' | 'image' | undefined> {
  const mount = { Type: 'bind', Source: source, Target: '/seen', ReadOnly: true };
  const image = `orchestra/nothing:${randomUUID()}`;
  const { status, text } = await ask(address, {
    Image: image,
    HostConfig: { NetworkMode: 'none', Mounts: [mount] },
  });
  if (status === 404 && /no such image/i.test(text)) return 'image';
  return status === 400 && /bind source path does not exist/i.test(text) ? 'mount' : undefined;
}

async function ask(
  address: EngineAddress,
  body: object,
): Promise<{ status: number | undefined; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{
    status: number | undefined;
    text: string;
  }>();
  const req = request({
    ...address,
    path: '/containers/create',
    method: 'POST',
    agent: false,
    headers: { Host: 'engine', 'Content-Type': 'application/json' },
  });
  req.setTimeout(answerMs, () => req.destroy(new Error('no answer in time')));
  req.on('error', reject);
  req.on('response', (response) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (part: string) => {
      if (text.length < answerBytesMax) text += part;
    });
    response.on('end', () => resolve({ status: response.statusCode, text }));
    response.on('error', reject);
  });
  req.end(JSON.stringify(body));
  return promise;
}
