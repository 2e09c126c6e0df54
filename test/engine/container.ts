import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { parseHost } from '#setup/engine/find.ts';
import { ask, askJson } from '#setup/engine/http.ts';

export type Ran = { code: number; output: string };

/** Runs one container of a bare engine to its end and removes it. For tests of engine and image. */
export async function runContainer(
  host: string,
  config: { Image: string; Cmd: string[]; HostConfig?: object; [key: string]: unknown },
  timeoutMs = 60_000,
): Promise<Ran> {
  const id = await createContainer(host, config);
  const endpoint = parseHost(host);
  try {
    const wait = `/containers/${id}/wait`;
    const answer = await askJson(endpoint, { method: 'POST', path: wait, timeoutMs });
    const logs = `/containers/${id}/logs?stdout=1&stderr=1`;
    const output = unframe(await buffer(await ask(endpoint, { path: logs, timeoutMs: 10_000 })));
    return { code: (answer as { StatusCode: number }).StatusCode, output };
  } finally {
    await removeContainer(host, id);
  }
}

// Without a terminal an engine sends frames: which stream, three zeros, the length, the bytes.
function unframe(frames: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at + 8 <= frames.length;) {
    const end = at + 8 + frames.readUInt32BE(at + 4);
    parts.push(frames.subarray(at + 8, end));
    at = end;
  }
  return Buffer.concat(parts).toString('utf8');
}

/** Creates and starts; the caller removes. */
export async function createContainer(host: string, config: object): Promise<string> {
  const endpoint = parseHost(host);
  const body = JSON.stringify({ NetworkDisabled: true, ...config });
  const created = (await askJson(endpoint, {
    method: 'POST',
    path: '/containers/create',
    body: Readable.from([body]),
    headers: { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(body) },
    timeoutMs: 30_000,
  })) as { Id: string };
  const start = `/containers/${created.Id}/start`;
  try {
    await askJson(endpoint, { method: 'POST', path: start, timeoutMs: 30_000 });
  } catch (error) {
    await removeContainer(host, created.Id);
    throw error;
  }
  return created.Id;
}

async function removeContainer(host: string, id: string): Promise<void> {
  const path = `/containers/${id}?force=1&v=1`;
  await askJson(parseHost(host), { method: 'DELETE', path, timeoutMs: 30_000 });
}
