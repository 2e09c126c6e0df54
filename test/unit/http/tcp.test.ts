import { readFile, writeFile } from 'node:fs/promises';
import { request, type RequestOptions } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { Writable } from 'node:stream';
import { connect, type PeerCertificate } from 'node:tls';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Callers } from '#daemon/access/callers.ts';
import { Refusals } from '#daemon/access/refusals.ts';
import { TokenDoor } from '#daemon/access/tokens-door.ts';
import { Guesses } from '#daemon/access/tokens-guesses.ts';
import { TokenOffice } from '#daemon/access/tokens-office.ts';
import { Tokens } from '#daemon/access/tokens.ts';
import { openLog } from '#daemon/audit/log.ts';
import type { Log } from '#daemon/audit/types.ts';
import { buildApp, type Routes } from '#daemon/http/app.ts';
import { eventStream } from '#daemon/http/streams.ts';
import { openTcp, type TcpListening } from '#daemon/http/tcp.ts';
import { TokenSockets } from '#daemon/http/tcp-sockets.ts';
import { planTcp, type ListenSettings } from '#daemon/http/tcp-settings.ts';
import { KnownAccounts, rolesBy } from '#test/support/accounts.ts';
import { makeCertificate } from '#test/support/certificate.ts';
import { callerWith, edgeDeps } from '#test/support/edge.ts';
import { tempDir } from '#test/support/temp-dir.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: Log;
let tokens: Tokens;
let office: TokenOffice;
let network: TcpListening;
let tls: { cert: string; key: string };
let port: number;
let said: string;
let now: number;
let uploaded: number;

beforeEach(async () => {
  dir = await tempDir();
  tls = makeCertificate(dir.path);
  tokens = new Tokens();
  said = '';
  uploaded = 0;
  now = Date.now();
  log = await openLog({
    dir: `${dir.path}/audit`,
    version: '0',
    origin: 'test',
    onRecord: (record) => tokens.fold(record),
  });
  network = await open({ address: '127.0.0.1:0', tls });
});

afterEach(async () => {
  await network.close(0);
  await log.close();
  await dir[Symbol.asyncDispose]();
});

async function open(settings: ListenSettings): Promise<TcpListening> {
  const accounts = new KnownAccounts([[1000, 'maria', 1000, 50]]);
  const roles = await rolesBy({ runner: ['gid:50'], auditor: ['gid:50'] }, accounts);
  const refusals = new Refusals({ log });
  const clock = () => now;
  const usual = { usualMs: 1e9, maxMs: 1e10 };
  office = new TokenOffice({ log, tokens, accounts, roles, settings: usual, now: clock });
  const routes = new Proxy(
    {
      version: ({ caller }: { caller: { actor: object } }) =>
        Promise.resolve({ caller: caller.actor }),
      whoAmI: ({ caller }: { caller: { actor: object } }) =>
        Promise.resolve({ caller: caller.actor }),
      runEvents: ({ signal }: { signal: AbortSignal }) =>
        Promise.resolve(eventStream(log.follow({ from: 0, signal }))),
      runList: () => Promise.reject(new Error('a secret of the inside')),
      snapshotPut: async ({ incoming }: { incoming: AsyncIterable<Buffer> }) => {
        for await (const part of incoming) uploaded += part.length;
        return {};
      },
    } as unknown as Routes,
    { get: (known, name) => Reflect.get(known, name) ?? (() => Promise.resolve({})) },
  );
  const stream = new Writable({
    write: (line, _encoding, done) => {
      said += String(line);
      done();
    },
  });
  const logger = pino({ level: 'trace' }, stream);
  const edge = { ...(await edgeDeps({ log })), refusals, logger };
  const guesses = new Guesses();
  const door = new TokenDoor({ tokens, accounts, roles, guesses, refusals, now: clock });
  const opened = await openTcp([await planTcp(settings)], {
    door,
    tokens,
    refusals,
    logger,
    now: clock,
    app: (reader) =>
      buildApp({ ...edge, callers: new Callers({ readers: [reader], roles }) }, routes).fetch,
  });
  port = Number(opened.urls[0]?.split(':').at(-1));
  return opened;
}

type Answer = {
  status: number;
  headers: Record<string, unknown>;
  body: string;
  cert: PeerCertificate;
};

async function ask(
  path: string,
  headers: Record<string, string> = {},
  more: RequestOptions & { body?: string | Buffer } = {},
): Promise<Answer> {
  const ca = await readFile(tls.cert);
  const { body, ...options } = more;
  return new Promise((resolve, reject) => {
    const call = request(
      {
        host: '127.0.0.1',
        port,
        path,
        headers,
        ca,
        agent: false,
        servername: 'localhost',
        ...options,
      },
      (answer) => {
        const cert = (
          answer.socket as unknown as { getPeerCertificate(): PeerCertificate }
        ).getPeerCertificate();
        let text = '';
        answer.on('data', (part) => (text += String(part)));
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text, cert }),
        );
        answer.on('error', reject);
      },
    );
    call.on('error', reject);
    call.end(body);
  });
}

const maria = () => callerWith(['runner'], { uid: 1000, gids: [1000, 50] });
const make = () => office.create({ roles: ['runner'], scopes: ['all'] }, maria());
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

async function recorded(type: string) {
  const found = [];
  for await (const { record } of log.read()) if (record.type === type) found.push(record);
  return found;
}

test.each<[string, (token: string, id: string) => Promise<string> | string, string]>([
  ['forged', (token) => token.replace(/^orc_./, 'orc_z'), 'token.invalid'],
  [
    'of another daemon',
    async () => (await import('#daemon/access/tokens.ts')).makeToken().text,
    'token.invalid',
  ],
  ['truncated', (token) => token.slice(0, -1), 'token.invalid'],
  ['expired', (token) => ((now += 2e9), token), 'token.expired'],
  [
    'revoked',
    async (token, id) => (await office.revoke(id, 'lost', maria()), token),
    'token.revoked',
  ],
])('a token that is %s gets nowhere and is recorded', async (_what, spoil, code) => {
  const { token, id } = await make();
  const answer = await ask('/v1/whoami', bearer(await spoil(token, id)));
  expect(answer.status).toBe(401);
  expect(answer.headers).toMatchObject({ 'www-authenticate': /^Bearer/, connection: 'close' });
  expect(JSON.parse(answer.body)).toMatchObject({ code, exit_code: 5, hint: /./ });
  expect(await recorded('auth.failed')).toMatchObject([
    { outcome: 'denied', data: { method: 'token', address: '127.0.0.1' } },
  ]);
});

test('without a token nothing is answered but that the daemon lives', async () => {
  expect(await ask('/healthz')).toMatchObject({ status: 200 });
  for (const path of ['/version', '/openapi.json', '/v1/whoami', '/v1/nothing', '/v1/runs/r-x']) {
    expect(await ask(path)).toMatchObject({ status: 401 });
  }
});

test('whoever shows a token is its owner on record, with no more than its roles', async () => {
  const { token, id } = await make();
  const { body } = await ask('/v1/whoami', bearer(token));
  expect(JSON.parse(body)).toMatchObject({
    caller: { kind: 'user', auth: 'token', uid: 1000, token: id, roles: ['runner'] },
  });
  expect(await ask('/v1/audit/records', bearer(token))).toMatchObject({ status: 403 });
});

test.each<[string, Record<string, string>, string, number]>([
  ['under a name that was pointed here', { host: 'rebound.example' }, 'host.unknown', 421],
  ['from a foreign page', { origin: 'https://evil.example' }, 'origin.denied', 403],
  ['across sites', { 'sec-fetch-site': 'cross-site' }, 'origin.denied', 403],
  [
    'to upgrade, from a foreign page',
    { origin: 'https://evil.example', connection: 'Upgrade', upgrade: 'websocket' },
    'origin.denied',
    403,
  ],
])(
  'a request %s is refused and recorded, even with a token',
  async (_what, headers, code, status) => {
    const { token } = await make();
    const answer = await ask('/v1/whoami', { ...bearer(token), ...headers });
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ code });
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
    expect(await recorded('api.rejected')).toMatchObject([{ outcome: 'denied', data: { code } }]);
  },
);

test('a flood of refused requests is counted, not recorded one by one', async () => {
  for (let i = 0; i < 30; i += 1) await ask('/', { host: 'rebound.example' });
  expect(await recorded('api.rejected')).toHaveLength(10);
});

test('a browser that asks before it writes is not told that it may', async () => {
  const answer = await ask('/v1/runs', { origin: 'https://evil.example' }, { method: 'OPTIONS' });
  expect(answer.status).toBe(403);
  expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual(
    [],
  );
});

test('whoever speaks plain HTTP to it gets no answer, and others still do', async () => {
  const heard = await new Promise<string>((resolve) => {
    const socket = connectPlain(port, '127.0.0.1', () => {
      socket.write('GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n');
    });
    let text = '';
    socket.on('data', (part) => (text += part.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
  expect(heard).not.toContain('HTTP/1.1');
  expect(await ask('/healthz')).toMatchObject({ status: 200 });
});

test('a TLS that was given up on is not spoken', async () => {
  const old = {
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  } as const;
  await expect(ask('/healthz', {}, old)).rejects.toThrow();
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
    resolve(socket.getProtocol());
    socket.destroy();
  });
  expect(await promise).toBe('TLSv1.3');
});

test('headers beyond 16 KiB are refused, as on the socket', async () => {
  const { token } = await make();
  expect(await ask('/v1/whoami', { ...bearer(token), 'x-long': 'x'.repeat(20_000) })).toMatchObject(
    {
      status: 431,
    },
  );
});

test('a body of whoever may not send one is not read', async () => {
  const body = Buffer.alloc(8 * 1024 * 1024);
  const answer = await ask('/v1/snapshots', {}, { method: 'POST', body }).catch(
    (error: NodeJS.ErrnoException) => error.code,
  );
  // The answer, or the connection closed under what nobody reads.
  if (typeof answer === 'object') expect(answer.status).toBe(401);
  else expect(['EPIPE', 'ECONNRESET']).toContain(answer);
  expect(uploaded).toBe(0);
  const { token } = await make();
  const sent = await ask('/v1/snapshots', bearer(token), { method: 'POST', body });
  expect([sent.status, uploaded]).toEqual([200, body.length]);
});

test('a stream that is open ends in the moment in which its token is revoked', async () => {
  const { token, id } = await make();
  const other = await make();
  const open = async (secret: string) => {
    const ca = await readFile(tls.cert);
    const { promise, resolve, reject } = Promise.withResolvers<{
      ended: Promise<void>;
      isOpen(): boolean;
    }>();
    const headers = bearer(secret);
    const path = '/v1/runs/r-0000000000/events';
    const call = request({ host: '127.0.0.1', port, path, headers, ca, agent: false }, (answer) => {
      const end = Promise.withResolvers<void>();
      let isOpen = true;
      answer.on('close', () => {
        isOpen = false;
        end.resolve();
      });
      answer.on('error', () => undefined);
      answer.once('data', () => resolve({ ended: end.promise, isOpen: () => isOpen }));
    });
    call.on('error', reject);
    call.end();
    return promise;
  };
  const [mine, others] = [await open(token), await open(other.token)];
  await office.revoke(id, 'lost', maria());
  await mine.ended;
  expect(others.isOpen()).toBe(true);
});

test('what is open with a token that expires, or whose owner loses its roles, is ended', async () => {
  const ended: string[] = [];
  const stands = new Set(['t-a', 't-b']);
  const sockets = new TokenSockets({
    door: {
      stands: async (id) =>
        Promise.resolve(id === 't-broken' ? Promise.reject(new Error('x')) : stands.has(id)),
    },
    tokens: { onRevoked: () => ({ [Symbol.dispose]: () => undefined }), holds: () => true },
    now: () => 0,
    everyMs: 1e6,
  });
  const socket = (name: string) =>
    ({ once: () => undefined, destroy: () => ended.push(name) }) as never;
  for (const id of ['t-a', 't-b', 't-broken']) expect(sockets.add(id, socket(id))).toBe(true);
  expect(sockets.add('t-a', { destroyed: true } as never)).toBe(false);
  stands.delete('t-b');
  await sockets.sweep();
  sockets[Symbol.dispose]();
  expect(ended).toEqual(['t-b', 't-broken']);
});

test('a certificate is read again without a restart; a spoiled one leaves the old one in force', async () => {
  const before = (await ask('/healthz')).cert.fingerprint256;
  const next = makeCertificate(dir.path, 'next');
  const kept = await readFile(tls.cert);
  await writeFile(tls.cert, await readFile(next.cert));
  await network.reload();
  await writeFile(tls.cert, kept);
  expect((await ask('/healthz')).cert.fingerprint256).toBe(before);
  await writeFile(tls.cert, await readFile(next.cert));
  await writeFile(tls.key, await readFile(next.key));
  await network.reload();
  expect((await ask('/healthz')).cert.fingerprint256).not.toBe(before);
});

test('where callers need a certificate too, a token alone is not enough', async () => {
  await network.close(0);
  const ca = makeCertificate(dir.path, 'client');
  network = await open({ address: '127.0.0.1:0', tls: { ...tls, client_ca: ca.cert } });
  const { token } = await make();
  await expect(ask('/v1/whoami', bearer(token))).rejects.toThrow();
  const shown = { cert: await readFile(ca.cert), key: await readFile(ca.key) };
  expect(await ask('/v1/whoami', bearer(token), shown)).toMatchObject({ status: 200 });
  expect(await ask('/v1/whoami', {}, shown)).toMatchObject({ status: 401 });
});

test('no token is in an answer, in the log or in what the daemon says, whatever goes wrong', async () => {
  const { token } = await make();
  const answers = [];
  for (const path of [
    '/v1/whoami',
    '/v1/runs',
    '/v1/nothing',
    '/v1/audit/records',
    `/v1/${token}`,
  ]) {
    answers.push(await ask(path, bearer(token)));
    answers.push(await ask(path, { ...bearer(token), host: 'x' }));
    answers.push(await ask(path, { authorization: token }));
  }
  answers.push(await ask(`/healthz?token=${token}`, { host: 'rebound.example' }));
  let lines = '';
  for await (const { line } of log.read()) lines += line;
  const shown = answers.map(({ body, headers }) => body + JSON.stringify(headers)).join('');
  expect(shown + said).not.toContain(token);
  // A token that somebody makes part of a path is there as a path.
  expect(lines.replaceAll(`/v1/${token}`, '')).not.toContain(token);
  expect(said).toContain('request failed');
});

test('an address that is taken is told with the way out', async () => {
  const taken = open({ address: `127.0.0.1:${port}`, tls });
  await expect(taken).rejects.toMatchObject({ code: 'config.invalid', message: /something else/ });
});
