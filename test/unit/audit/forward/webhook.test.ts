import { createHmac } from 'node:crypto';
import { chmod, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecure } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Refusal, type Batch } from '#daemon/audit/forward/target.ts';
import { WebhookTarget, type WebhookOptions } from '#daemon/audit/forward/targets/webhook.ts';
import { tempDir } from '#test/support/temp-dir.ts';
import { certificateFor } from './certificates.ts';

const batch: Batch = { from: 3, to: 7, texts: ['{"seq":3}', '{"seq":5}'], bytes: 20 };
const body = '{"seq":3}\n{"seq":5}\n';
const never = new AbortController().signal;

type Seen = { headers: IncomingMessage['headers']; body: string };
type Answer = (response: ServerResponse, seen: Seen) => void;

async function hook(answer: Answer, options: Partial<WebhookOptions> = {}) {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    void Array.fromAsync(request as AsyncIterable<Buffer>).then(
      (chunks) => {
        const one = { headers: request.headers, body: Buffer.concat(chunks).toString() };
        seen.push(one);
        answer(response, one);
      },
      () => {},
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const target = targetAt(`http://127.0.0.1:${port}/in`, options);
  return {
    seen,
    target,
    port,
    async [Symbol.asyncDispose]() {
      await target.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function targetAt(url: string, options: Partial<WebhookOptions> = {}): WebhookTarget {
  return new WebhookTarget({
    url: new URL(url),
    contentType: 'application/x-ndjson',
    origin: 'box/orchestra/1\n',
    timeoutMs: 5_000,
    now: () => 1_700_000_000_000,
    tls: {},
    ...options,
  });
}

const ok: Answer = (response) => response.writeHead(202).end('thanks');

test.each([
  ['500', {}, undefined],
  ['429', { 'retry-after': '7' }, 7_000],
  ['503', { 'retry-after': new Date(1_700_000_009_000).toUTCString() }, 9_000],
  ['429', { 'retry-after': 'soon' }, undefined],
  ['302', { location: 'http://127.0.0.1:1/elsewhere' }, undefined],
  ['401', {}, undefined],
  ['413', {}, undefined],
] as const)('an answer of %s with %j is a no', async (status, headers, retryAfterMs) => {
  await using it = await hook((response) => response.writeHead(Number(status), headers).end());
  const refusal = await it.target.send(batch, never).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(Refusal);
  expect(refusal).toMatchObject({
    message: `the receiver answered ${status}`,
    retryAfterMs,
    isTooLarge: status === '413',
  });
});

test('a receiver that hangs, breaks off or answers without end is given up', async () => {
  const options = { timeoutMs: 100 };
  await using hanging = await hook(() => {}, options);
  await expect(hanging.target.send(batch, never)).rejects.toThrow('no answer in time');
  await using breaking = await hook((response) => response.socket?.destroy());
  await expect(breaking.target.send(batch, never)).rejects.toThrow();
  await using cutting = await hook((response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('x', () => response.socket?.destroy());
  });
  await expect(cutting.target.send(batch, never)).rejects.toThrow();
  await using endless = await hook((response) => {
    response.writeHead(200);
    const more = () => void response.write(Buffer.alloc(32_768), (error) => error ?? more());
    more();
  });
  await expect(endless.target.send(batch, never)).rejects.toThrow('the answer has no end');
});

test('the same batch comes under the same key, and another one under another', async () => {
  await using it = await hook(ok);
  await it.target.send(batch, never);
  await it.target.send(batch, never);
  await it.target.send({ ...batch, texts: ['{"seq":3}'] }, never);
  const keys = it.seen.map(({ headers }) => headers['idempotency-key']);
  expect(keys[0]).toMatch(/^"box\/orchestra\/1_:3-7:[0-9a-f]{16}"$/);
  expect(keys[1]).toBe(keys[0]);
  expect(keys[2]).not.toBe(keys[0]);
  expect(it.seen[0]).toMatchObject({
    body,
    headers: {
      'content-type': 'application/x-ndjson',
      'orchestra-log': 'box/orchestra/1_',
      'orchestra-records': '3-7;count=2',
    },
  });
  expect(it.seen[0]?.headers['webhook-signature']).toBeUndefined();
});

test('with a secret each request is signed over id, time and body, and the secret may change', async () => {
  await using dir = await tempDir();
  const secretFile = join(dir.path, 'secret');
  const tokenFile = join(dir.path, 'token');
  await writeFile(tokenFile, 'letmein\n', { mode: 0o600 });
  await using it = await hook(ok, { secretFile, tokenFile });
  for (const [text, key] of [
    ['plain secret\n', Buffer.from('plain secret')],
    [`whsec_${Buffer.from('coded').toString('base64')}`, Buffer.from('coded')],
  ] as const) {
    await writeFile(secretFile, text, { mode: 0o600 });
    await it.target.send(batch, never);
    const { headers = {}, body: got = '' } = it.seen.at(-1) ?? {};
    const id = String(headers['webhook-id']);
    const signed = createHmac('sha256', key).update(`${id}.1700000000.${got}`).digest('base64');
    expect(headers['webhook-timestamp']).toBe('1700000000');
    expect(headers['webhook-signature']).toBe(`v1,${signed}`);
    expect(headers['authorization']).toBe('Bearer letmein');
  }
  await chmod(secretFile, 0o644);
  await expect(it.target.send(batch, never)).rejects.toThrow('can be read by everybody');
  expect(it.seen).toHaveLength(2);
});

test('only a receiver whose certificate is by the named authority and for its name gets anything', async () => {
  await using dir = await tempDir();
  const good = certificateFor(dir.path, 'localhost');
  const other = certificateFor(dir.path, 'elsewhere.example');
  let got = 0;
  const serve = async ({ cert, key }: typeof good) => {
    const server = createSecure({ cert, key }, (request, response) => {
      got += 1;
      request.resume();
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    return { server, url: `https://localhost:${(server.address() as AddressInfo).port}/` };
  };
  const [right, wrong] = [await serve(good), await serve(other)];
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0';
  try {
    const sends = (url: string, ca?: string) =>
      targetAt(url, { tls: ca === undefined ? {} : { ca } }).send(batch, never);
    await expect(sends(right.url)).rejects.toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    await expect(sends(right.url, other.certFile)).rejects.toThrow();
    await expect(sends(wrong.url, other.certFile)).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
    expect(got).toBe(0);
    await sends(right.url, good.certFile);
    expect(got).toBe(1);
  } finally {
    delete process.env['NODE_TLS_REJECT_UNAUTHORIZED'];
    for (const { server } of [right, wrong]) {
      server.closeAllConnections();
      server.close();
    }
  }
});
