import { mkdtemp, rm } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { framesType } from '#contract/output-frames.ts';
import { openLog } from '#daemon/audit/log.ts';
import type { Log } from '#daemon/audit/types.ts';
import { prefers } from '#daemon/http/accept.ts';
import type { Routes } from '#daemon/http/app.ts';
import { openApi } from '#daemon/http/openapi.ts';
import { sendBytes } from '#daemon/http/send-bytes.ts';
import { serve, type Listening } from '#daemon/http/server.ts';
import { edgeDeps } from '#test/support/edge.ts';

let dir: string;
let log: Log;
let server: Listening;
let socket: string;
let source: () => AsyncGenerator<Uint8Array>;

const routes = new Proxy({} as Routes, {
  get: (_, name) => (call: Parameters<Routes['taskLog']>[0]) =>
    name === 'taskLog' ? sendBytes(call.outgoing, source(), { 'content-type': 'x/y' }) : {},
});

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'orc-bytes-'));
  socket = join(dir, 'run', 'api.sock');
  log = await openLog({ dir: join(dir, 'audit'), version: '0', origin: 'test' });
  server = await serve(await edgeDeps({ log }), routes, { socket, isPassed: false });
});

afterEach(async () => {
  await server.close(100);
  await log.close();
  await rm(dir, { recursive: true, force: true });
});

function ask(method = 'GET'): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const path = '/v1/runs/r-0123456789/tasks/build/log';
    request({ socketPath: socket, method, path }, resolve).on('error', reject).end();
  });
}

async function read(answer: IncomingMessage): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(answer as AsyncIterable<Buffer>));
}

test('an answer whose source fails has no end: it is broken off', async () => {
  source = async function* () {
    yield Buffer.from('begun');
    await Promise.resolve();
    throw new Error('the blob is damaged');
  };
  await expect(ask().then(read)).rejects.toMatchObject({ code: 'ECONNRESET' });
});

test('a source is closed when its reader leaves in the middle of a block', async () => {
  const closed = Promise.withResolvers<void>();
  source = async function* () {
    try {
      for (;;) yield await Promise.resolve(Buffer.alloc(1024 * 1024));
    } finally {
      closed.resolve();
    }
  };
  const answer = await ask();
  answer.once('data', () => answer.destroy());
  await closed.promise;
});

test('who does not read is waited for: two blocks are made and no more', async () => {
  let made = 0;
  source = async function* () {
    for (; made < 50; made += 1) yield await Promise.resolve(Buffer.alloc(4 * 1024 * 1024));
  };
  const answer = (await ask()).pause();
  await expect.poll(() => made).toBeGreaterThan(0);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(made).toBeLessThan(3);
  expect((await read(answer)).length).toBe(50 * 4 * 1024 * 1024);
});

test('a block may be written over once the next but one is asked for', async () => {
  const blocks = [Buffer.alloc(300_000), Buffer.alloc(300_000)] as const;
  source = async function* () {
    for (let n = 0; n < 60; n += 1) {
      const block = blocks[n % 2 === 0 ? 0 : 1];
      yield await Promise.resolve(block.fill(n));
    }
  };
  const all = await read(await ask());
  expect(all.length).toBe(60 * 300_000);
  for (let n = 0; n < 60; n += 1) {
    expect(all.subarray(n * 300_000, (n + 1) * 300_000).every((byte) => byte === n)).toBe(true);
  }
});

test('the head goes out before the first byte, and a HEAD has nothing after it', async () => {
  const first = Promise.withResolvers<void>();
  source = async function* () {
    await first.promise;
    yield Buffer.from('late');
  };
  const answer = await ask();
  expect(answer.headers).toMatchObject({
    'content-type': 'x/y',
    'x-content-type-options': 'nosniff',
  });
  first.resolve();
  expect((await read(answer)).toString()).toBe('late');
  expect(await read(await ask('HEAD'))).toHaveLength(0);
});

test.each([
  [undefined, false],
  ['', false],
  ['*/*', false],
  ['application/*', false],
  ['application/x-ndjson', false],
  [`${framesType};q=0`, false],
  [`${framesType};q=nonsense`, false],
  [`${framesType};q=0.5, application/x-ndjson`, false],
  [`${framesType}.other`, false],
  [framesType, true],
  [`${framesType}, application/x-ndjson;q=0.5`, true],
  [`text/plain;q=0.1,${framesType.toUpperCase()} ; q=0.9`, true],
  [','.repeat(10_000) + framesType, true],
])('whether frames are asked for by %s: %s', (accept, wanted) => {
  expect(prefers(accept, framesType)).toBe(wanted);
});

test('the description of the API names both forms of an output', () => {
  const { paths } = openApi('1') as { paths: Record<string, { get: unknown }> };
  expect(paths['/v1/runs/{id}/tasks/{task}/log']?.get).toMatchObject({
    responses: { '200': { content: { 'application/x-ndjson': {}, [framesType]: {} } } },
  });
});
