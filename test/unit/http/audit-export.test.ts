import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLog } from '#daemon/audit/log.ts';
import type { Routes } from '#daemon/http/app.ts';
import { auditExportRoutes } from '#daemon/http/routes/audit-exports.ts';
import type { RouteDeps } from '#daemon/http/routes/deps.ts';
import { serve } from '#daemon/http/server.ts';
import { edgeDeps } from '#test/support/edge.ts';
import { tempDir } from '#test/support/temp-dir.ts';

async function daemon() {
  const temp = await tempDir();
  const socket = join(temp.path, 'run', 'api.sock');
  const log = await openLog({
    dir: join(temp.path, 'audit'),
    version: '0',
    origin: 'test',
    reserveBytes: 0,
  });
  const runs = { find: () => ({ id: 'r-0123456789' }) };
  const vault = { asked: (query: object) => query };
  const runsDeps = { log, version: '0.1.0', clock: { now: () => Date.now() }, vault };
  const routes = auditExportRoutes({ runs, runsDeps } as unknown as RouteDeps) as Routes;
  const server = await serve(await edgeDeps({ log }), routes, { socket, isPassed: false });
  const ask = (path: string): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      request({ socketPath: socket, path }, resolve).on('error', reject).end();
    });
  return {
    log,
    ask,
    async [Symbol.asyncDispose]() {
      await server.close(100);
      await log.close();
      await temp[Symbol.asyncDispose]();
    },
  };
}

const textOf = async (answer: IncomingMessage) =>
  Buffer.concat(await Array.fromAsync(answer as AsyncIterable<Buffer>)).toString();
const path = '/v1/audit/export';

test('an export says in its headers how much comes, and is on record with its caller', async () => {
  await using it = await daemon();
  const answer = await it.ask(`${path}?format=csv`);
  expect(answer.headers).toMatchObject({
    'content-type': 'text/csv; charset=utf-8; header=present',
    'x-content-type-options': 'nosniff',
    'orchestra-records': '2',
    'orchestra-range': '0-2',
  });
  expect((await textOf(answer)).trimEnd().split('\r\n')).toHaveLength(3);
  const [, , last] = (await Array.fromAsync(it.log.read())).map(({ record }) => record);
  expect(last).toMatchObject({ type: 'log.exported', actor: { kind: 'user' } });
  const run = await textOf(await it.ask(`${path}?format=csv&run=@last`));
  expect(run.trimEnd().split('\r\n')).toHaveLength(1);
});

test.each(['format=xml', 'from=-1', 'since=noon', 'colour=red', 'enterprise=0'])(
  'an export with %s is refused, and none is on record',
  async (query) => {
    await using it = await daemon();
    expect((await it.ask(`${path}?${query}`)).statusCode).toBe(400);
    const types = (await Array.fromAsync(it.log.read())).map(({ record }) => record.type);
    expect(types).not.toContain('log.exported');
  },
);

test('callers who leave in the middle hold nothing up, however many there are', async () => {
  await using it = await daemon();
  const data = { code: 'test', what: 'x'.repeat(1000) };
  await it.log.appendAll(
    Array.from({ length: 3000 }, () => ({ type: 'daemon.error' as const, data })),
  );
  for (let i = 0; i < 6; i += 1) {
    const answer = await it.ask(path);
    await new Promise((resolve) => answer.once('data', resolve));
    answer.on('error', () => {});
    answer.destroy();
  }
  for (;;) {
    const answer = await it.ask(path);
    const text = await textOf(answer);
    if (answer.statusCode === 429) continue;
    expect(text).toContain('orchestra_export_end');
    return;
  }
});

test('nobody forwards where the configuration names nobody', async () => {
  await using it = await daemon();
  expect(JSON.parse(await textOf(await it.ask('/v1/audit/forwarders')))).toEqual({ items: [] });
});
